"""Every program that takes a config or weights refuses those that carry code, and runs none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
MODEL = ["MODEL.ROI_HEADS.NUM_CLASSES", "1", "MODEL.CLASS_NAMES", "['nut']"]


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def folder(tmp_path):
    """A photograph with one label, weights with code, a config with code in its base."""
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((64, 64, 3), 128, np.uint8))
    labels = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 64, "width": 64}],
        "categories": [{"id": 1, "name": "nut"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 20], "area": 400}
        ],
    }
    labels["annotations"][0]["iscrowd"] = 0
    (tmp_path / "a.json").write_text(json.dumps(labels))
    torch.save({"model": {}, "extra": Payload(tmp_path / "executed")}, tmp_path / "bad.pth")
    code = f"!!python/object/apply:os.mkdir ['{tmp_path / 'executed'}']"
    (tmp_path / "base.yaml").write_text(f"OUTPUT_DIR: {code}\n")
    (tmp_path / "bad.yaml").write_text("_BASE_: base.yaml\n")
    yield tmp_path
    assert not (tmp_path / "executed").exists(), "code from a file was executed"


def data(folder):
    dataset = f"['nuts=coco:{folder / 'a.json'}:{folder}']"
    names = ["DATASETS.TRAIN", "('nuts',)", "DATASETS.TEST", "('nuts',)"]
    return ["DATASETS.REGISTER", dataset, *names, "OUTPUT_DIR", str(folder / "output")]


def train(folder, config, options):
    return ["train_net.py", "--num-gpus", "0", "--config-file", config, *data(folder), *options]


def evaluate(folder, config, options):
    head = ["train_net.py", "--eval-only", "--num-gpus", "0", "--config-file", config]
    return [*head, *data(folder), *options]


def demo(folder, config, options):
    picture = ["--input", str(folder / "a.jpg"), "--output", str(folder / "out")]
    return ["demo.py", "--config-file", config, *picture, "--opts", *MODEL, *options]


PROGRAMS = [train, evaluate, demo]


def run(arguments):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_config_with_code_in_its_base(folder, program):
    ended = run(program(folder, str(folder / "bad.yaml"), ["MODEL.DEVICE", "cpu"]))
    assert ended.returncode not in (0, None)
    assert "carries a Python tag" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_weights_with_code(folder, program):
    options = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(folder / "bad.pth")]
    ended = run(program(folder, "configs/cascade_r18.yaml", options))
    assert ended.returncode not in (0, None)
    assert f"{folder / 'bad.pth'}: refused" in ended.stderr
    assert "safetensors" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_resuming_from_weights_with_code(folder):
    (folder / "output").mkdir()
    (folder / "bad.pth").rename(folder / "output" / "model_0000009.pth")
    (folder / "output" / "last_checkpoint").write_text("model_0000009.pth")
    arguments = train(folder, "configs/cascade_r18.yaml", [])
    ended = run([arguments[0], "--resume", *arguments[1:]])
    assert ended.returncode not in (0, None)
    assert "model_0000009.pth: refused" in ended.stderr
