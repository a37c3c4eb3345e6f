"""Every command of the README runs, in its order, in a copy of the tree; only smaller."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
SMALL_RUN = (
    "SOLVER.MAX_ITER 2 TEST.EVAL_PERIOD 2 SOLVER.IMS_PER_BATCH 1 DATALOADER.NUM_WORKERS 0 "
    "INPUT.TILE.SIZE 128 TEST.VIS_IMAGES 1 "
    "MODEL.RPN.POST_NMS_TOPK_TRAIN 50 MODEL.RPN.POST_NMS_TOPK_TEST 20 "
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 16 TEST.DETECTIONS_PER_IMAGE 10"
)
NARROW = (
    " MODEL.FPN.OUT_CHANNELS 64 MODEL.ROI_BOX_HEAD.CONV_DIM 64 MODEL.ROI_BOX_HEAD.FC_DIM 128 "
    "MODEL.RESNETS.WIDTH_PER_GROUP 32 MODEL.RESNETS.RES2_OUT_CHANNELS 64 "
    "SOLVER.MAX_ITER 1 TEST.EVAL_PERIOD 1"
)
# Starts three processes, each of which imports everything.
SLOW = ("python tools/detect.py",)
# What is added to a command to make it small; the commands themselves stay as they are printed.
SMALLER = {
    "python datasets/prepare_synthetic.py": "--train 3 --val 2 --test 1 --size 320x256 --workers 1",
    "python train_net.py --config-file configs/cascade.yaml": SMALL_RUN + NARROW,
    "python train_net.py --config-file configs/cascade_r18.yaml": SMALL_RUN,
    "python train_net.py --config-file output/config.yaml": "",
    "python demo.py": "",
    "python tools/check.py": "",
    "python tools/export_weights.py": "",
    "python tools/detect.py": "",
    "python tools/plan.py": "",
    "python tools/benchmark.py mapper": "--runs 1 --images 1",
    "python tools/benchmark.py inference": "--runs 1 --images 1 --threads 1",
}
INSTALLS = ("make", "pip", "DIST_EXTRA_CONFIG", "SMALLOBJ_DETECTRON2", ".venv/bin/pip")


def commands() -> list[str]:
    """The lines of the README's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.strip().splitlines()]


def runnable() -> list[Any]:
    """Parameters of a test, one for each command that can run here."""
    listed = [c for c in commands() if not c.startswith((*INSTALLS, "tensorboard"))]
    return [
        pytest.param(c, id=c, marks=[pytest.mark.slow] if c.startswith(SLOW) else [])
        for c in listed
    ]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git tracks, as a newcomer's clone is."""
    target = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    crop_samples(target / "datasets" / "samples")
    return target


def crop_samples(folder: Path) -> None:
    """Leaves a sixth of each sample photograph, and the labels of what is in it."""
    width, height = 1100, 900
    labels = json.loads((folder / "labels.json").read_text())
    for name, boxes in labels.items():
        path = str(folder / name)
        cv2.imwrite(path, cv2.imread(path)[:height, :width])
        labels[name] = [
            box for box in boxes if box[1] + box[3] <= width and box[2] + box[4] <= height
        ]
        assert labels[name], name
    (folder / "labels.json").write_text(json.dumps(labels))


def run(command: str, tree: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    assert words[0] == "python"
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    environment.pop("DETECTRON2_DATASETS", None)
    return subprocess.run(
        [sys.executable, *words[1:]], cwd=tree, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", runnable())
def test_command_runs_as_printed(command: str, tree: Path) -> None:
    beginnings = [b for b in SMALLER if command.startswith(b)]
    assert beginnings, f"say in SMALLER how to run this command of the README: {command}"
    # That more GPUs than there are get refused is seen in test_train_net.py.
    wanted = re.search(r"--num-gpus (\d+)", command)
    if wanted and int(wanted[1]) > torch.cuda.device_count():
        command = command.replace(wanted[0], "--num-gpus 0")
    done = run(f"{command} {SMALLER[beginnings[0]]}", tree)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_training_left_what_the_readme_says(tree: Path) -> None:
    for name in ("config.yaml", "metrics.json", "model_final.pth", "model_best.pth"):
        assert (tree / "output" / name).is_file(), name
    for name in ("found.json", "found.csv", "found_coco.json"):
        assert (tree / "output" / name).is_file(), name


def test_tensorboard_serves_the_run(tree: Path) -> None:
    assert "tensorboard --logdir output" in commands()
    executable = Path(sys.executable).parent / "tensorboard"
    server = subprocess.Popen(
        [str(executable), "--logdir", "output", "--port", "0"],
        cwd=tree,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        told = []
        for line in server.stderr:
            told.append(line)
            if "http://" in line:
                return
        pytest.fail("".join(told))
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("target", ["demo", "test", "setup"])
def test_make_targets_exist(target: str) -> None:
    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
    assert any(c.endswith(f"make {target}") for c in commands())


def test_pip_lines_and_setup_script_install_the_same() -> None:
    script = (ROOT / "tools" / "setup.sh").read_text()
    lines = [c for c in commands() if "pip install" in c and "git+" not in c]
    assert lines[0] == "pip install -r requirements.txt"
    assert "-r requirements.txt" in script
    for word in ("DIST_EXTRA_CONFIG=$PWD/no_ext.cfg", *lines[1].split("pip install ")[1].split()):
        assert word in script, word


@pytest.mark.slow
@pytest.mark.cpu_limit(900)
@pytest.mark.skipif(
    os.environ.get("SMALLOBJ_TEST_INSTALL") != "1",
    reason="installs several gigabytes; SMALLOBJ_TEST_INSTALL=1 runs it",
)
def test_the_two_pip_lines_install(tree: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    path = f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": path}
    for line in [c for c in commands() if "pip install" in c and "git+" not in c]:
        subprocess.run(["bash", "-c", line], cwd=tree, env=environment, check=True)
    subprocess.run(
        ["bash", "-c", "python -c 'import smallobj.engine'"], cwd=tree, env=environment, check=True
    )
