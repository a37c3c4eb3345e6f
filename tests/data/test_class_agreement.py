"""The classes of a config and of its datasets."""

import json
from pathlib import Path

import PIL.Image
import pytest

from smallobj import get_cfg
from smallobj.data.datasets import register_dataset, resolve_num_classes


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path, catalog):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    (tmp_path / "data").mkdir()
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "data" / "0.jpg")
    (tmp_path / "two.json").write_text('["cat", "dog"]')
    (tmp_path / "three.json").write_text('["cat", "dog", "cow"]')
    (tmp_path / "swapped.json").write_text('["dog", "cat"]')
    return tmp_path


def register(root: Path, name: str, labels: dict, classes: str = "two.json") -> None:
    (root / name).write_text(json.dumps(labels))
    register_dataset(f"{name}=challenge:{name}:data:{classes}")


GOOD = [0, 1, 1, 5, 5]


def make_cfg(train=(), test=()):
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = tuple(train)
    cfg.DATASETS.TEST = tuple(test)
    return cfg


def test_number_and_names_of_classes_come_from_the_data(root):
    register(root, "a", {"0.jpg": [GOOD]})
    cfg = make_cfg(["a"])
    cfg.freeze()
    assert resolve_num_classes(cfg) is cfg
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 2
    assert cfg.MODEL.RETINANET.NUM_CLASSES == 2
    assert cfg.MODEL.CLASS_NAMES == ["cat", "dog"]
    assert cfg.is_frozen()
    resolve_num_classes(cfg)  # a second time nothing conflicts


@pytest.mark.parametrize("key", ["ROI_HEADS", "RETINANET"])
def test_another_number_in_the_config_is_an_error_with_both(root, key):
    register(root, "a", {"0.jpg": [GOOD]})
    cfg = make_cfg(["a"])
    cfg.MODEL[key].NUM_CLASSES = 80
    with pytest.raises(
        ValueError, match=rf"MODEL\.{key}\.NUM_CLASSES .* is 80, dataset a .* has 2"
    ):
        resolve_num_classes(cfg)


def test_other_names_in_the_config_are_an_error(root):
    register(root, "a", {"0.jpg": [GOOD]})
    cfg = make_cfg([], ["a"])
    cfg.MODEL.CLASS_NAMES = ["cat", "cow"]
    with pytest.raises(ValueError, match=r"class 1 is 'cow' in MODEL\.CLASS_NAMES and 'dog'"):
        resolve_num_classes(cfg)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("swapped.json", "class 0 is 'cat' in a and 'dog' in b"),
        ("three.json", "a has 2 classes, b has 3"),
    ],
)
def test_datasets_together_need_the_same_classes(root, classes, message):
    register(root, "a", {"0.jpg": [GOOD]})
    register(root, "b", {"0.jpg": [GOOD]}, classes)
    with pytest.raises(ValueError, match=message):
        resolve_num_classes(make_cfg(["a"], ["b"]))


def test_without_datasets_the_names_in_the_config_count():
    cfg = make_cfg()
    assert resolve_num_classes(cfg).MODEL.ROI_HEADS.NUM_CLASSES == 0
    cfg.MODEL.CLASS_NAMES = ["cat", "dog", "cow"]
    assert resolve_num_classes(cfg).MODEL.ROI_HEADS.NUM_CLASSES == 3
