"""tools/detect.py: any number of processes, killed and resumed, find what one process finds."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from smallobj.bulk import run as bulk_run
from smallobj.checkpoint import save_weights
from smallobj.modeling import build_model

PHOTOS = 24
BROKEN = "13b.jpg"
OUTPUTS = ("detections.jsonl", "d.json", "d.csv", "c.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory, save_untrained) -> Path:
    """A model that is not trained, and photographs, a broken one among them."""
    folder = tmp_path_factory.mktemp("bulk")
    cfg = save_untrained(folder, "TEST.DETECTIONS_PER_IMAGE", 10)
    torch.manual_seed(1)
    save_weights(build_model(cfg), folder / "other.safetensors")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(PHOTOS - 1):
        pixels = rng.integers(0, 255, (100, 140 + number % 3, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "photos" / f"{number:02d}.jpg"), pixels)
    (folder / "photos" / BROKEN).write_bytes(b"\xff\xd8 not much of a photograph")
    return folder


@pytest.fixture(scope="module")
def script(repository) -> Path:
    return repository / "tools" / "detect.py"


@pytest.fixture(scope="module")
def tool(load_script, script):
    return load_script(script)


@pytest.fixture
def words(place, monkeypatch):
    """Arguments of a run into the folder ``name``."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def make(name, *more):
        json_file, csv_file, coco_file = (f"{name}/{file}" for file in OUTPUTS[1:])
        return [
            *("--input", "photos", "--output", name, "--device", "cpu"),
            *("--config-file", "config.yaml", "--confidence-threshold", "0.01"),
            *("--json", json_file, "--csv", csv_file, "--coco", coco_file),
            *(() if "--weights" in more else ("--weights", "model.safetensors")),
            *more,
        ]

    return make


@pytest.fixture(scope="module")
def expected(place, tool) -> dict[str, bytes]:
    """What one process writes, with demo.py's own way of writing it as the witness."""
    patch = pytest.MonkeyPatch()
    patch.chdir(place)
    patch.setenv("OMP_NUM_THREADS", "1")
    arguments = ["--input", "photos", "--output", "one", "--config-file", "config.yaml"]
    arguments += ["--weights", "model.safetensors", "--device", "cpu", "--num-processes", "1"]
    arguments += ["--confidence-threshold", "0.01", "--json", "one/d.json", "--csv", "one/d.csv"]
    assert tool.main([*arguments, "--coco", "one/c.json"]) == bulk_run.BROKEN
    patch.undo()
    return contents(place / "one")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def part_lines(folder: Path) -> dict[int, int]:
    """Whole lines in the newest part file of each process."""
    files = sorted((folder / "parts").glob("*.jsonl")) if folder.exists() else []
    return {int(f.name.split("-")[3]): f.read_bytes().count(b"\n") for f in files}


class Killer(threading.Thread):
    """Kills the first process that has written a line, as the system does when memory runs out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.killed: int | None = None
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.005):
            for rank in [rank for rank, lines in part_lines(self.folder).items() if lines]:
                for process in multiprocessing.active_children():
                    if process.name == f"process {rank}":
                        os.kill(process.pid, signal.SIGKILL)
                        self.killed = rank
                        return


def test_one_process_writes_what_the_demo_writes(expected, place, load_script, monkeypatch):
    monkeypatch.chdir(place)
    demo = load_script("demo.py")
    words = ["--input", "photos", "--config-file", "config.yaml", "--device", "cpu"]
    words += ["--weights", "model.safetensors", "--confidence-threshold", "0.01"]
    words += ["--output", "pictures", "--json", "d.json", "--csv", "d.csv"]
    assert demo.main(words) == 1
    assert (place / "d.json").read_bytes() == expected["d.json"]
    assert (place / "d.csv").read_bytes() == expected["d.csv"]
    lines = [json.loads(line) for line in expected["detections.jsonl"].splitlines()]
    assert [line["index"] for line in lines] == list(range(PHOTOS))
    assert [line["file"] for line in lines if "error" in line] == [f"photos/{BROKEN}"]
    assert sum(len(line.get("detections", ())) for line in lines) > PHOTOS
    # demo.py counts the images that it could read; here every image of the list has its place.
    boxes = json.loads(expected["c.json"])
    ids = {line["index"] + 1 for line in lines if line.get("detections")}
    assert {box["image_id"] for box in boxes} == ids


def test_one_process_killed_and_the_rest_done_by_one(tool, place, words, expected, capfd):
    killer = Killer(place / "killed")
    killer.start()
    status = tool.main(words("killed", "--num-processes", "2"))
    killer.over.set()
    killer.join()
    told = capfd.readouterr()
    assert status == 3, told.err
    assert f"process {killer.killed} was ended by signal 9" in told.err
    assert not (place / "killed" / "d.json").exists()
    done = sum(part_lines(place / "killed").values())
    # The one that lives has done all the rest; only what the dead one had claimed is missing.
    assert PHOTOS - 4 <= done < PHOTOS
    if killer.killed:  # else the one that would have told it is dead
        assert f"{PHOTOS - done} of {PHOTOS} images are missing" in told.err
        assert f"process {killer.killed} of 2: " in told.out
        assert "; died" in told.out
    tear(next((place / "killed" / "parts").glob(f"*rank-{killer.killed:05d}*")))
    assert tool.main(words("killed", "--resume", "--num-processes", "1")) == 1
    assert_resumed(place / "killed", expected, done)


@pytest.mark.slow  # torchrun and its processes import for ten seconds and more
def test_an_interrupted_run_continues_under_torchrun(place, script, words, expected):
    shutil.copytree(place / "one", place / "torn")
    (part,) = (place / "torn" / "parts").glob("*.jsonl")
    done = PHOTOS // 2
    part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[:done]))
    tear(part)
    for name in OUTPUTS:
        (place / "torn" / name).unlink()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", str(script), *words("torn", "--resume")]
    ended = subprocess.run(command, cwd=place, capture_output=True, text=True)
    # The broken file makes it 1, which torchrun hands on.
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "process 1 of 2: " in ended.stdout
    assert "wrote torn/d.json" in ended.stdout
    # A line for both processes.
    (cut,) = re.findall(r"warning: TEST.DETECTIONS_PER_IMAGE 10 cut .* images;", ended.stderr)
    assert f"in {PHOTOS - 1 - done} images" in cut
    assert_resumed(place / "torn", expected, done)


def tear(part: Path) -> None:
    """Leaves it as a process that is killed while it writes."""
    with part.open("ab") as stream:
        stream.write(b'{"index": 0, "file": "photos/00.j')


def assert_resumed(folder: Path, expected: dict[str, bytes], done: int) -> None:
    """The results are those of one process, and nothing is done twice, but for the broken file."""
    assert contents(folder) == expected
    assert sum(part_lines(folder).values()) >= PHOTOS - done
    every = b"".join(f.read_bytes() for f in (folder / "parts").glob("*.jsonl"))
    assert every.count(b'"detections"') == PHOTOS - 1


def test_resuming_a_finished_run_merges_again(tool, place, words, expected):
    arguments = words("one", "--resume", "--num-processes", "1")
    for name in OUTPUTS[1:]:
        (place / "one" / name).unlink()
    assert tool.main(arguments[2:]) == 1  # without --input
    assert contents(place / "one") == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "holds a run already; --resume"),
        (("--resume", "--weights", "other.safetensors"), "a run with other weights"),
        (("--resume", "--threads", "2"), "another number of --threads"),
        (("--resume", "--confidence-threshold", "0.02"), "another --confidence-threshold"),
        (("--resume", "--opts", "TEST.TILE.OVERLAP", "30"), "a run with another config"),
        (("--resume", "--input", "photos/0*.jpg"), "another list of images"),
    ],
)
def test_a_folder_holds_one_run(tool, place, words, expected, capsys, more, message):
    assert tool.main(words("one", "--num-processes", "1", *more)) == 2
    assert message in capsys.readouterr().err
    assert contents(place / "one") == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--input", "nowhere"), "nowhere: no such file"),
        (("--coco-images", "none.json"), "no such COCO annotation file"),
        (("--num-processes", "2", "--num-machines", "2"), "several machines need --dist-url"),
        (("--num-processes", "2", "--dist-url", "here"), "must be tcp://HOST:PORT"),
        (("--num-processes", "-1"), "at least one process"),
        (("--num-machines", "2", "--machine-rank", "2"), "rank 2 of 2"),
        (("--threads", "0"), "--threads must be positive"),
    ],
)
def test_what_is_wrong_is_said_before_the_work(tool, place, words, capsys, more, message):
    more = (*more, "--num-processes", "1") if "--num-processes" not in more else more
    assert tool.main(words("wrong", *more)) == 2
    assert message in capsys.readouterr().err
    assert not (place / "wrong" / "run.json").exists()


def test_an_annotation_file_is_checked_before_the_work(tool, place, words, capsys):
    categories = [{"id": 5, "name": name} for name in ("red", "green", "blue")]
    content = {"images": [{"id": 1, "file_name": "00.jpg"}], "categories": categories}
    (place / "few.json").write_text(json.dumps(content))
    more = ("--coco-images", "few.json", "--num-processes", "1")
    assert tool.main(words("wrong", *more)) == 2
    assert "lists no image of this name" in capsys.readouterr().err
    assert not (place / "wrong" / "parts").exists() or not part_lines(place / "wrong")
