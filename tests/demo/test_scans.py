"""demo.py on files that are read by windows."""

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine

from smallobj.demo import scans
from smallobj.demo.scans import needs_scan
from smallobj.results.class_colors import class_color
from smallobj.scan.scanner import Scanner

NAMES = ["red", "green", "blue"]
PLACE = {"crs": "EPSG:32652", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory, save_untrained):
    folder = tmp_path_factory.mktemp("model")
    save_untrained(folder, "TEST.TILE.SIZE", 64, "TEST.TILE.OVERLAP", 16)
    return folder


@pytest.fixture
def demo(load_script, monkeypatch, tmp_path, model_folder):
    """main() of demo.py with the tiny model, in a working directory of its own."""
    module = load_script("demo.py")
    monkeypatch.chdir(tmp_path)
    weights = ("--weights", str(model_folder / "model.safetensors"), "--device", "cpu")

    def run(*words, opts=()):
        return module.main([*map(str, words), *weights, "--opts", *opts])

    return run


def write(name, size=(150, 120), **profile):
    image = np.random.default_rng(0).integers(0, 256, (3, *size), dtype=np.uint8)
    options = {"driver": "GTiff", "count": 3, "dtype": "uint8", **profile}
    with rasterio.open(name, "w", height=size[0], width=size[1], **options) as file:
        file.write(image)
    return name


def boxes(path):
    (image,) = json.loads(Path(path).read_text())["images"]
    return image, sorted((d["score"], d["class_id"], d["box"]) for d in image["detections"])


LOW = ("--confidence-threshold", "0.05")


def test_a_georeferenced_file_is_scanned_and_mapped(demo, tmp_path, capsys):
    write("map.tif", **PLACE)
    words = ("--json", "d.json", "--geojson", "d.geojson", "--csv", "d.csv", *LOW)
    assert demo("--input", "map.tif", *words) == 0
    image, found = boxes("d.json")
    assert (image["file"], image["width"], image["height"]) == ("map.tif", 120, 150)
    features = json.loads((tmp_path / "d.geojson").read_text())["features"]
    assert len(features) == len(found) > 10
    for feature, one in zip(features, image["detections"], strict=True):
        assert feature["properties"] == {k: one[k] for k in ("class", "class_id", "score")}
        ring = np.array(feature["geometry"]["coordinates"][0])
        x0, y0, x1, y1 = one["box"]
        np.testing.assert_allclose(ring.min(axis=0), [5e5 + x0 / 2, 4e6 - y1 / 2], atol=0.01)
        np.testing.assert_allclose(ring.max(axis=0), [5e5 + x1 / 2, 4e6 - y0 / 2], atol=0.01)
    assert len((tmp_path / "d.csv").read_text().splitlines()) == len(found) + 1
    output = capsys.readouterr()
    for path in ("output/demo/map.tif", "d.json", "d.csv", "d.geojson"):
        assert output.out.count(f"wrote {path}\n") == 1
    assert "9/9" in output.err  # tiles
    assert os.listdir("output/demo") == ["map.tif"]  # no progress file is left


def test_a_scan_says_what_the_ordinary_run_says(demo):
    write("a.png", driver="PNG")
    words = ("--input", "a.png", *LOW)
    batch = ("TEST.DETECTIONS_PER_IMAGE", "1000", "TEST.TILE.BATCH_SIZE", "1")
    runs = {"whole.json": (), "scan.json": ("--scan", "--no-picture")}
    for name, more in runs.items():
        assert demo(*words, *more, "--json", name, opts=batch) == 0
    assert boxes("scan.json") == boxes("whole.json")
    assert len(boxes("scan.json")[1]) > 10


def test_photographs_and_scans_in_one_run(demo, capsys):
    write("map.tif", **PLACE)
    cv2.imwrite("a.png", np.zeros((50, 60, 3), np.uint8))
    with open("broken.tif", "wb") as stream:
        stream.write(b"II*\0broken")
    words = ("--input", "map.tif", "a.png", "broken.tif", "--json", "d.json", *LOW)
    assert demo(*words) == 1
    images = json.loads(Path("d.json").read_text())["images"]
    assert [image["file"] for image in images] == ["a.png", "map.tif"]
    assert "skipped: broken.tif" in capsys.readouterr().err


def test_a_file_that_breaks_off_is_skipped(demo, capsys):
    write("map.tif", size=(300, 200), compress="deflate", blockysize=16, **PLACE)
    with open("map.tif", "r+b") as stream:
        stream.seek(os.path.getsize("map.tif") // 2)
        stream.write(b"\xff" * 3000)
    assert demo("--input", "map.tif", "--json", "d.json") == 1
    assert "skipped: map.tif: lines" in capsys.readouterr().err
    # What was done of it is kept: perhaps it was the file server that was broken.
    assert os.listdir("output/demo") == ["map.tif.progress"]


def test_a_file_that_is_broken_from_the_start_leaves_nothing(demo, capsys):
    write("a.png", size=(300, 200), driver="PNG")
    with open("a.png", "r+b") as stream:
        stream.seek(60)
        stream.write(b"\xff" * 300)
    assert demo("--input", "a.png", "--scan") == 1
    assert "skipped: a.png: not an image that OpenCV can decode" in capsys.readouterr().err
    assert os.listdir("output/demo") == []


def test_a_jpeg_2000_is_found_in_a_folder(demo):
    os.mkdir("scans")
    write("scans/a.jp2", (70, 60), driver="JP2OpenJPEG")
    assert demo("--input", "scans", "--json", "d.json") == 0
    assert boxes("d.json")[0]["file"] == os.path.join("scans", "a.jp2")
    assert os.listdir("output/demo") == ["a.jp2.jpg"]


@pytest.fixture
def killed(demo, monkeypatch):
    """Runs demo.py in a process that is killed while it looks at the third row of tiles."""

    def run(*words):
        child = os.fork()
        if not child:
            detect, calls = Scanner._detect, []

            def deadly(self, *args):
                calls.append(1)
                if len(calls) == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                return detect(self, *args)

            Scanner._detect = deadly
            os._exit(demo(*words))
        assert os.waitpid(child, 0)[1] == signal.SIGKILL

    return run


def test_a_killed_run_resumes_to_the_same_files(demo, killed, monkeypatch, capsys):
    write("map.tif", size=(300, 110), **PLACE)
    names = ("d.json", "d.csv", "c.json", "d.geojson", "output/demo/map.tif")
    words = ("--input", "map.tif", "--json", names[0], "--csv", names[1], "--coco", names[2])
    words = (*words, "--geojson", names[3], *LOW)
    assert demo(*words) == 0
    expected = {name: Path(name).read_bytes() for name in names}
    for name in names:
        os.remove(name)
    killed(*words)
    assert not any(map(os.path.exists, names))
    detect, tops = Scanner._detect, []

    def watched(self, tiles, *args):
        tops.append(int(tiles[0, 1]))
        return detect(self, tiles, *args)

    monkeypatch.setattr(Scanner, "_detect", watched)
    assert demo(*words, "--resume") == 0
    # Two rows had been finished.
    assert len(tops) > 1
    assert tops[0] > 64
    assert {name: Path(name).read_bytes() for name in names} == expected
    assert not os.path.exists("output/demo/map.tif.progress")


def test_another_scan_does_not_resume_nor_destroy(demo, killed, capsys):
    write("map.tif", size=(300, 60), **PLACE)
    words = ("--input", "map.tif", *LOW)
    killed(*words)
    progress = Path("output/demo/map.tif.progress").read_bytes()
    assert demo(*words) == 2
    told = capsys.readouterr().err
    assert "holds 2 finished rows of an interrupted scan; go on with --resume" in told
    assert demo(*words, "--resume", opts=("TEST.TILE.SEAM_IOU", "0.4")) == 2
    assert "have changed: config;" in capsys.readouterr().err
    os.utime("map.tif", (1, 1))
    assert demo(*words, "--resume") == 2
    assert "have changed: input file's content;" in capsys.readouterr().err
    assert Path("output/demo/map.tif.progress").read_bytes() == progress


def test_an_interrupted_scan_says_how_to_go_on(demo, monkeypatch, capsys):
    write("map.tif", **PLACE)
    detect, calls = Scanner._detect, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return detect(self, *args)

    monkeypatch.setattr(Scanner, "_detect", interrupted)
    assert demo("--input", "map.tif", "--json", "d.json") == 130
    assert "map.tif: --resume goes on after 1 rows" in capsys.readouterr().err
    assert not os.path.exists("d.json")
    assert demo("--input", "map.tif", "--json", "d.json", "--resume") == 0
    assert os.path.exists("d.json")


def test_what_is_scanned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scans, "MOST_PIXELS", 120 * 150)
    assert needs_scan(write("map.tif", **PLACE))
    assert needs_scan(write("a.jp2", driver="JP2OpenJPEG"))
    assert needs_scan(write("large.png", (151, 120), driver="PNG"))
    assert not needs_scan(write("small.png", driver="PNG"))
    assert not needs_scan(write("small.tif"))
    assert not needs_scan("none.tif")


def test_the_picture_is_reduced_and_shows_the_boxes(demo, monkeypatch, capsys):
    monkeypatch.setattr(scans, "_LONGEST_PICTURE", 100)
    write("map.tif", size=(200, 150), **PLACE)
    for words in ([], ["--labels", "name", "--line-width", "2", "--no-legend"]):
        assert demo("--input", "map.tif", "--debug", *words, *LOW) == 0
        picture = cv2.imread("output/demo/map.tif")
        assert picture.shape[1] == 75
        assert (picture[:100] == class_color(0)).all(axis=2).any()
    assert picture.shape[0] == 100


def test_many_detections_are_counted_not_listed(demo, capsys):
    write("map.tif", **PLACE)
    assert demo("--input", "map.tif", "--confidence-threshold", "0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "objects"]
    assert lines[1].split()[0] == "map.tif"
    assert int(lines[1].split()[1]) > 200


BAD = [
    (["--input", "map.tif", "plain.tif", "--geojson", "d.geojson"], "got 2 files"),
    (["--input", "plain.tif", "--geojson", "d.geojson"], "no coordinate reference system"),
    (["--video-input", "a.mp4", "--resume"], "go with --input"),
    (["--input", "map.tif", "--geojson", "."], "this is a folder"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=[said for _, said in BAD])
def test_a_user_s_error_is_one_sentence(words, said, demo, capsys):
    write("map.tif", **PLACE)
    write("plain.tif")
    assert demo(*words) == 2
    output = capsys.readouterr()
    assert said in output.err.splitlines()[-1]
    assert output.err.splitlines()[-1].startswith("demo.py: ")
    assert "Traceback" not in output.err
