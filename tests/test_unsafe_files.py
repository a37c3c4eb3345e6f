"""Nothing that a file carries is executed: every payload here would leave a mark if it ran."""

import json
import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from smallobj import load_config
from smallobj.checkpoint import SafeCheckpointer, UnsafeFileError, load_weights

ROOT = Path(__file__).parent.parent
MODEL = ["MODEL.ROI_HEADS.NUM_CLASSES", "1", "MODEL.CLASS_NAMES", "['nut']"]


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    mark = tmp_path / "executed"
    yield mark
    assert not mark.exists(), "the payload was executed"


def test_the_payloads_are_live(tmp_path):
    for name in ("a", "b"):
        data = pickle.dumps(Payload(tmp_path / name))
        assert not (tmp_path / name).exists()
        pickle.loads(data)
        assert (tmp_path / name).exists()


def write_bad_weights(path, mark):
    content = {"model": {"weight": torch.zeros(2, 2)}, "extra": Payload(mark)}
    if path.suffix in (".pth", ".pt"):
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.pkl", "w.pyth", "w.PKL", "w.bin", "w"])
@pytest.mark.parametrize("load", [lambda m, p: SafeCheckpointer(m).load(str(p)), load_weights])
def test_weights_with_code_are_refused(tmp_path, mark, name, load):
    path = tmp_path / name
    write_bad_weights(path, mark)
    with pytest.raises(UnsafeFileError, match="refused") as caught:
        load(nn.Linear(2, 2), path)
    assert str(path) in str(caught.value)
    assert "safetensors" in str(caught.value)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_bare_pickle_under_a_trusted_ending_is_refused(tmp_path, mark, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Payload(mark), protocol=2))
    with pytest.raises(ValueError, match=name):
        load_weights(nn.Linear(2, 2), path)


def test_resuming_reads_safely_too(tmp_path, mark):
    write_bad_weights(tmp_path / "model_0000009.pth", mark)
    (tmp_path / "last_checkpoint").write_text("model_0000009.pth")
    with pytest.raises(UnsafeFileError, match=r"model_0000009\.pth"):
        SafeCheckpointer(nn.Linear(2, 2), str(tmp_path)).resume_or_load("", resume=True)


def test_the_reason_names_what_the_pickle_wanted(tmp_path, mark):
    write_bad_weights(tmp_path / "w.pth", mark)
    with pytest.raises(UnsafeFileError, match=r"GLOBAL (posix|nt)\.mkdir"):
        load_weights(nn.Linear(2, 2), tmp_path / "w.pth")


def write_bad_config(path, mark):
    path.write_text(f"OUTPUT_DIR: !!python/object/apply:os.system ['touch {mark}']\n")


def test_config_with_code_is_refused(tmp_path, mark):
    write_bad_config(tmp_path / "bad.yaml", mark)
    with pytest.raises(ValueError, match=r"bad\.yaml: refused.*Python tag"):
        load_config(str(tmp_path / "bad.yaml"))


def test_config_with_code_in_its_base_is_refused(tmp_path, mark):
    write_bad_config(tmp_path / "bad.yaml", mark)
    (tmp_path / "middle.yaml").write_text("_BASE_: bad.yaml\n")
    (tmp_path / "top.yaml").write_text("_BASE_: middle.yaml\nSEED: 1\n")
    with pytest.raises(ValueError, match="Python tag"):
        load_config(str(tmp_path / "top.yaml"))


def test_option_with_code_is_text(tmp_path, mark):
    (tmp_path / "good.yaml").write_text("SEED: 1\n")
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    cfg = load_config(str(tmp_path / "good.yaml"), ["OUTPUT_DIR", code])
    assert cfg["OUTPUT_DIR"] == code


@pytest.fixture
def folder(tmp_path, mark):
    """A photograph with one label, weights with code, a config with code in its base."""
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((64, 64, 3), 128, np.uint8))
    labels = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 64, "width": 64}],
        "categories": [{"id": 1, "name": "nut"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 20], "iscrowd": 0}
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(labels))
    write_bad_weights(tmp_path / "bad.pth", mark)
    write_bad_config(tmp_path / "base.yaml", mark)
    (tmp_path / "bad.yaml").write_text("_BASE_: base.yaml\n")
    return tmp_path


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


@pytest.mark.parametrize("program", [train, demo])
def test_config_with_code_in_its_base(folder, run_script, program):
    status, told = run_script(*program(folder, str(folder / "bad.yaml"), ["MODEL.DEVICE", "cpu"]))
    assert status == 2
    assert "carries a Python tag" in told


@pytest.mark.parametrize("program", [train, evaluate, demo])
def test_weights_with_code(folder, run_script, program):
    options = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(folder / "bad.pth")]
    status, told = run_script(*program(folder, "configs/cascade_r18.yaml", options))
    assert status == 2
    assert f"{folder / 'bad.pth'}: refused" in told
    assert "safetensors" in told


def test_resuming_from_weights_with_code(folder, run_script):
    (folder / "output").mkdir()
    (folder / "bad.pth").rename(folder / "output" / "model_0000009.pth")
    (folder / "output" / "last_checkpoint").write_text("model_0000009.pth")
    script, *words = train(folder, "configs/cascade_r18.yaml", [])
    status, told = run_script(script, "--resume", *words)
    assert status == 2
    assert "model_0000009.pth: refused" in told
