"""Datasets in Detectron2's catalogs."""

import json
import os
from pathlib import Path

import PIL.Image
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj import get_cfg
from smallobj.data.classes import CHALLENGE_CLASSES_EN, CHALLENGE_CLASSES_KO
from smallobj.data.datasets import (
    DatasetError,
    class_names,
    load_checked,
    register_builtin,
    register_dataset,
    register_from_config,
    registered_spec,
    unregister_dataset,
)


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path, catalog):
    """An empty datasets folder; catalogs are as before afterwards."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    register_builtin()
    yield tmp_path
    monkeypatch.undo()
    register_builtin()


def make_challenge(labels: Path, images: Path, content: dict) -> None:
    images.mkdir(parents=True)
    for name in content:
        PIL.Image.new("RGB", (40, 30)).save(images / name)
    labels.write_text(json.dumps(content))


def make_coco(root: Path, names=("bolt", "nut")) -> str:
    (root / "images").mkdir(exist_ok=True)
    PIL.Image.new("RGB", (40, 30)).save(root / "images/0.jpg")
    content = {
        "images": [{"id": 1, "file_name": "0.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
    }
    (root / "a.json").write_text(json.dumps(content))
    return "coco:a.json:images"


def test_builtin_datasets_are_registered_with_their_classes(root):
    for split in ("train", "val", "test"):
        metadata = MetadataCatalog.get(f"smallobj_{split}")
        assert f"smallobj_{split}" in DatasetCatalog.list()
        assert metadata.thing_classes == list(CHALLENGE_CLASSES_EN)
        assert metadata.thing_classes_ko == list(CHALLENGE_CLASSES_KO)
        assert metadata.evaluator_type == "coco"
        assert metadata.image_root == str(root / f"smallobj/{split}/{split}_data")


def test_builtin_datasets_are_read_from_the_challenge_layout(root):
    folder = root / "smallobj/train"
    make_challenge(folder / "train_label", folder / "train_data", {"7.jpg": [[29, 1, 2, 3, 4]]})
    (record,) = DatasetCatalog.get("smallobj_train")
    assert record["annotations"][0]["category_id"] == 29
    assert record["file_name"] == str(folder / "train_data/7.jpg")


def test_a_missing_builtin_dataset_says_how_to_get_it(root):
    with pytest.raises(DatasetError, match="prepare_synthetic") as error:
        DatasetCatalog.get("smallobj_val")
    assert len(error.value.problems) == 1


def test_builtin_test_images_need_no_labels(root):
    folder = root / "smallobj/test"
    make_challenge(folder / "test_label", folder / "test_data", {"3.jpg": []})
    (folder / "test_label").unlink()
    register_builtin()
    (record,) = DatasetCatalog.get("smallobj_test")
    assert record["annotations"] == []


def test_classes_json_beside_the_builtin_data(root):
    (root / "smallobj").mkdir()
    (root / "smallobj/classes.json").write_text('["coin", "nut"]')
    register_builtin()
    assert class_names("smallobj_train") == ["coin", "nut"]
    assert not hasattr(MetadataCatalog.get("smallobj_train"), "thing_classes_ko")
    (root / "smallobj/classes.json").write_text(json.dumps(CHALLENGE_CLASSES_EN))
    (root / "smallobj/train").mkdir()
    unregister_dataset("smallobj_train")
    register_builtin()
    assert MetadataCatalog.get("smallobj_train").thing_classes_ko[0] == CHALLENGE_CLASSES_KO[0]


def test_a_config_entry_is_all_that_a_dataset_needs(root):
    cfg = get_cfg()
    cfg.DATASETS.REGISTER = ["bolts=" + make_coco(root)]
    register_from_config(cfg)
    (record,) = DatasetCatalog.get("bolts")
    metadata = MetadataCatalog.get("bolts")
    assert record["annotations"][0]["category_id"] == 1
    assert metadata.thing_classes == ["bolt", "nut"]
    assert metadata.thing_dataset_id_to_contiguous_id == {1: 0, 2: 1}
    assert metadata.evaluator_type == "coco"


def test_class_names_need_no_images(root):
    spec = "bolts=" + make_coco(root)
    os.unlink(root / "images/0.jpg")
    register_dataset(spec)
    assert not hasattr(MetadataCatalog.get("bolts"), "thing_classes")
    assert class_names("bolts") == ["bolt", "nut"]
    assert MetadataCatalog.get("bolts").thing_classes == ["bolt", "nut"]


def test_class_names_of_unknown_and_broken_datasets(root):
    with pytest.raises(ValueError, match=r"unknown dataset 'nothing'.*smallobj_train"):
        class_names("nothing")
    register_dataset("bolts=coco:gone.json:images")
    with pytest.raises(DatasetError, match=r"gone\.json"):
        class_names("bolts")


def test_a_name_can_be_registered_again_only_with_the_same_spec(root):
    spec = register_dataset("bolts=coco:a.json:images")
    assert register_dataset("bolts=coco:a.json:images") == spec
    assert register_dataset(f"bolts=coco:{root}/x/../a.json:images") == spec
    with pytest.raises(ValueError, match="'bolts' is taken") as error:
        register_dataset("bolts=coco:b.json:images")
    assert "a.json" in str(error.value)
    assert "b.json" in str(error.value)
    assert registered_spec("bolts") == spec


def test_names_registered_in_python_are_not_taken_over():
    DatasetCatalog.register("other_code", lambda: [])
    with pytest.raises(ValueError, match="registered in Python"):
        register_dataset("other_code=coco:b.json:images")


def test_loading_gives_lists_that_the_caller_may_change(root):
    register_dataset("bolts=" + make_coco(root))
    (record,) = DatasetCatalog.get("bolts")
    record["annotations"][0]["category_id"] = 77
    record["annotations"].clear()
    assert DatasetCatalog.get("bolts")[0]["annotations"][0]["category_id"] == 1


def test_a_fixed_file_is_read_again(root):
    register_dataset("bolts=coco:a.json:images")
    with pytest.raises(DatasetError):
        DatasetCatalog.get("bolts")
    make_coco(root)
    assert len(DatasetCatalog.get("bolts")) == 1


def test_register_must_be_a_list():
    cfg = get_cfg()
    cfg.DATASETS.REGISTER = "bolts=coco:a.json:images"
    with pytest.raises(ValueError, match="is a list of strings"):
        register_from_config(cfg)


def _shared_folder() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared/data"
    return Path(os.environ.get("SMALLOBJ_SHARED_DATA", beside))


@pytest.mark.shared_data
@pytest.mark.skipif(not _shared_folder().is_dir(), reason="the shared photographs are not here")
def test_real_photographs():
    expected = {
        ("bolts_washers", "train"): (75, 2735),
        ("bolts_washers", "val"): (15, 548),
        ("bolts_washers", "test"): (10, 382),
        ("deeppcb", "train"): (1000, 6873),
        ("deeppcb", "val"): (500, 3140),
    }
    for (name, split), numbers in expected.items():
        folder = _shared_folder() / name
        register_dataset(f"{name}_{split}_real=coco:{folder}/{split}.json:{folder}/images")
        (count,) = load_checked([f"{name}_{split}_real"])
        # Two annotations of the first set (2292, 2302) are one label: it counts once, and is told.
        copies = int((name, split) == ("bolts_washers", "train"))
        told = {rule.name: number for (rule, _), number in count.changes.counts.items()}
        assert told == ({"box-duplicate": copies} if copies else {})
        assert (count.images, sum(count.boxes.values()) + copies) == numbers
    assert class_names("bolts_washers_train_real") == ["bolt", "bottle", "washer"]
