"""The classes of a config and of its datasets."""

import json
from pathlib import Path

import PIL.Image
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj import get_cfg
from smallobj.class_names import NamedClasses
from smallobj.data.datasets import class_names, register_dataset, resolve_num_classes
from smallobj.data.datasets.register import own_class_names


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
        ValueError, match=rf"MODEL\.{key}\.NUM_CLASSES .* is 80, dataset a .* has 2 "
    ):
        resolve_num_classes(cfg)


def test_other_names_in_the_config_are_an_error_that_lists_them(root):
    register(root, "a", {"0.jpg": [GOOD]})
    cfg = make_cfg(["a"])
    cfg.MODEL.CLASS_NAMES = ["cat", "cow", "Dog"]
    with pytest.raises(ValueError, match=r"has other classes than MODEL\.CLASS_NAMES") as error:
        resolve_num_classes(cfg)
    text = str(error.value)
    assert "only in MODEL.CLASS_NAMES: 'cow', 'Dog'; only in dataset a: 'dog'" in text
    assert "'Dog' and 'dog' differ only by case" in text
    assert "empty MODEL.CLASS_NAMES" in text


def categories(name):
    return [a["category_id"] for r in DatasetCatalog.get(name) for a in r["annotations"]]


def test_datasets_in_another_order_are_numbered_as_the_first(root, caplog):
    register(root, "a", {"0.jpg": [GOOD]})
    register(root, "b", {"0.jpg": [GOOD, [1, 9, 9, 5, 5]]}, "swapped.json")
    assert categories("b") == [0, 1]
    cfg = resolve_num_classes(make_cfg(["a", "b"], ["b"]))
    assert cfg.MODEL.CLASS_NAMES == ["cat", "dog"]
    assert categories("a") == [0]
    assert categories("b") == [1, 0]
    metadata = MetadataCatalog.get("b")
    assert metadata.thing_classes == ["cat", "dog"]
    # The dataset's own ids stay where they are: in its labels and in COCO results.
    assert metadata.thing_dataset_id_to_contiguous_id == {0: 1, 1: 0}
    assert "another order than dataset a" in caplog.text
    # The next run of this process may have another order.
    resolve_num_classes(make_cfg(["b"], ["a"]))
    assert (categories("a"), categories("b")) == ([1], [0, 1])
    assert own_class_names("a") == ["cat", "dog"]


def test_the_names_in_the_config_decide_about_the_order(root):
    register(root, "a", {"0.jpg": [GOOD]})
    cfg = make_cfg(["a"])
    cfg.MODEL.CLASS_NAMES = ["dog", "cat"]
    resolve_num_classes(cfg)
    assert cfg.MODEL.CLASS_NAMES == ["dog", "cat"]
    assert categories("a") == [1]


def test_the_names_in_the_weights_come_first(root, caplog):
    register(root, "a", {"0.jpg": [GOOD]}, "swapped.json")
    cfg = make_cfg([], ["a"])
    cfg.MODEL.CLASS_NAMES = ["dog", "cat"]
    resolve_num_classes(cfg, weights=NamedClasses(["cat", "dog"], "w.pth"))
    assert cfg.MODEL.CLASS_NAMES == ["cat", "dog"]
    assert categories("a") == [1]
    assert "w.pth names its classes in another order than the config's" in caplog.text
    cfg.MODEL.CLASS_NAMES = ["cat", "cow"]
    with pytest.raises(
        ValueError, match=r"only in MODEL\.CLASS_NAMES: 'cow'; only in w\.pth: 'dog'"
    ):
        resolve_num_classes(cfg, weights=NamedClasses(["cat", "dog"], "w.pth"))


def test_a_resumed_training_keeps_its_classes(root):
    register(root, "a", {"0.jpg": [GOOD]}, "three.json")
    with pytest.raises(ValueError, match=r"'cow'\. A training goes on with its own classes"):
        resolve_num_classes(make_cfg(["a"]), weights=NamedClasses(["cat", "dog"], "w.pth"))


@pytest.mark.parametrize("classes", ["three.json", "one.json"])
def test_datasets_together_need_the_same_classes(root, classes):
    (root / "one.json").write_text('["cat"]')
    register(root, "a", {"0.jpg": [GOOD]})
    register(root, "b", {"0.jpg": [GOOD]}, classes)
    cfg = make_cfg(["a"], ["b"])
    only = "only in dataset a: none; only in dataset b: 'cow'"
    if classes == "one.json":
        only = "only in dataset a: 'dog'; only in dataset b: none"
    with pytest.raises(ValueError, match=rf"{only}.*set TEST\.COMMON_CLASSES_ONLY True"):
        resolve_num_classes(cfg)
    cfg.TEST.COMMON_CLASSES_ONLY = True
    resolve_num_classes(cfg)
    assert cfg.MODEL.CLASS_NAMES == ["cat", "dog"]
    assert class_names("b") == (["cat", "dog"] if classes == "three.json" else ["cat"])
    # What is trained on has all classes of the model, whatever the key says.
    cfg.DATASETS.TRAIN = ("a", "b")
    with pytest.raises(ValueError, match=r"Datasets used together|empty MODEL\.CLASS_NAMES"):
        resolve_num_classes(cfg)


def test_labels_of_classes_that_the_model_lacks_are_left_out_and_counted(root, caplog):
    boxes = [[2, 1, 1, 5, 5], [2, 9, 1, 5, 5], [1, 20, 1, 5, 5]]
    register(root, "b", {"0.jpg": boxes}, "three.json")
    cfg = make_cfg([], ["b"])
    cfg.TEST.COMMON_CLASSES_ONLY = True
    cfg.MODEL.CLASS_NAMES = ["dog", "bee", "cat"]
    resolve_num_classes(cfg)
    assert cfg.MODEL.CLASS_NAMES == ["dog", "bee", "cat"]
    assert class_names("b") == ["dog", "cat"]
    assert categories("b") == [0]
    assert "evaluated on 2 classes that both have" in caplog.text
    caplog.clear()
    DatasetCatalog.get("b")
    assert "left out" not in caplog.text  # once
    cfg.MODEL.CLASS_NAMES = ["bee"]
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = cfg.MODEL.RETINANET.NUM_CLASSES = 0
    with pytest.raises(ValueError, match=r"TEST\.COMMON_CLASSES_ONLY needs a class that both"):
        resolve_num_classes(cfg)


def test_other_codes_datasets_are_numbered_as_the_model_too(root):
    own = {3: 0, 7: 1}

    def load():
        metadata = MetadataCatalog.get("theirs")
        metadata.thing_classes = ["cat", "dog"]
        metadata.thing_dataset_id_to_contiguous_id = own
        return [{"annotations": [{"category_id": 1}, {"category_id": 0}]}, {}]

    DatasetCatalog.register("theirs", load)
    cfg = make_cfg(["theirs"])
    cfg.MODEL.CLASS_NAMES = ["dog", "cat"]
    resolve_num_classes(cfg)
    for _ in range(2):
        assert [len(record) for record in DatasetCatalog.get("theirs")] == [1, 0]
        metadata = MetadataCatalog.get("theirs")
        assert metadata.thing_classes == ["dog", "cat"]
        assert metadata.thing_dataset_id_to_contiguous_id == {3: 1, 7: 0}
    labels = DatasetCatalog.get("theirs")[0]["annotations"]
    assert [label["category_id"] for label in labels] == [0, 1]
    # Registered anew under the same name, it is another dataset.
    DatasetCatalog.remove("theirs")
    MetadataCatalog.remove("theirs")
    DatasetCatalog.register("theirs", load)
    assert own_class_names("theirs") == ["cat", "dog"]


CSV_HEAD = "file,class_id,class,score,x1,y1,x2,y2"


def test_labels_without_a_list_of_classes_need_not_show_all_of_them(root, caplog):
    rows = {"train": ["cat", "cow", "dog"], "val": ["dog", "cat"], "bad": ["Dog"], "none": []}
    for name, classes in rows.items():
        lines = [f"0.jpg,{k},{label},,1,1,9,9" for k, label in enumerate(classes)]
        (root / f"{name}.csv").write_text("\n".join([CSV_HEAD, *lines]))
        register_dataset(f"{name}=csv:{name}.csv:data")
    cfg = resolve_num_classes(make_cfg(["train"], ["val", "none"]))
    assert cfg.MODEL.CLASS_NAMES == ["cat", "cow", "dog"]
    assert categories("val") == [2, 0]
    assert class_names("val") == ["cat", "cow", "dog"]
    assert "dataset val (val.csv) doesn't list its classes" in caplog.text.replace(f"{root}/", "")
    with pytest.raises(ValueError, match="'dog' and 'Dog' differ only by case"):
        resolve_num_classes(make_cfg(["train"], ["bad"]))


def test_a_focus_network_is_tested_on_any_classes(root):
    register(root, "a", {"0.jpg": [GOOD]})
    cfg = make_cfg([], ["a"])
    cfg.MODEL.META_ARCHITECTURE = "FocusNet"
    cfg.MODEL.CLASS_NAMES = ["nut"]
    resolve_num_classes(cfg)
    assert categories("a") == [0]
    cfg.DATASETS.TRAIN = ("a",)
    with pytest.raises(ValueError, match=r"only in MODEL\.CLASS_NAMES: 'nut'"):
        resolve_num_classes(cfg)


def test_without_datasets_the_names_in_the_config_count():
    cfg = make_cfg()
    assert resolve_num_classes(cfg).MODEL.ROI_HEADS.NUM_CLASSES == 0
    cfg.MODEL.CLASS_NAMES = ["cat", "dog", "cow"]
    assert resolve_num_classes(cfg).MODEL.ROI_HEADS.NUM_CLASSES == 3
