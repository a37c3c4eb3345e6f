"""Roboflow's folders: one spec for all splits."""

import json

import PIL.Image
import pytest
from detectron2.data import DatasetCatalog

from smallobj.data.datasets import class_names, register_datasets, unregister_dataset
from smallobj.data.labels.problems import DatasetError


@pytest.fixture
def export(tmp_path):
    for split in ("valid", "train"):
        folder = tmp_path / split
        folder.mkdir()
        PIL.Image.new("RGB", (40, 30)).save(folder / "a.jpg")
        content = {
            "images": [{"id": 0, "file_name": "a.jpg", "width": 40, "height": 30}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]}],
            "categories": [
                {"id": 0, "name": "parts", "supercategory": "none"},
                {"id": 1, "name": "bolt", "supercategory": "parts"},
            ],
        }
        (folder / "_annotations.coco.json").write_text(json.dumps(content))
    (tmp_path / "README.txt").touch()
    yield tmp_path
    for name in ("r_train", "r_valid", "one"):
        unregister_dataset(name)


def test_an_export_is_a_dataset_a_split(export):
    names = [spec.name for spec in register_datasets(f"r=roboflow:{export}")]
    assert names == ["r_train", "r_valid"]
    assert class_names("r_valid") == ["bolt"]
    (record,) = DatasetCatalog.get("r_valid")
    assert record["file_name"] == str(export / "valid" / "a.jpg")
    assert record["annotations"][0]["bbox"] == [1, 2, 3, 4]


@pytest.mark.parametrize("spec", ["one=roboflow:{}:valid", "one=roboflow:{}/valid"])
def test_one_split_by_name_or_folder(export, spec):
    assert [one.name for one in register_datasets(spec.format(export))] == ["one"]
    assert DatasetCatalog.get("one")[0]["file_name"] == str(export / "valid" / "a.jpg")


@pytest.mark.parametrize(("spec", "told"), [("{}:val", "'train', 'valid'"), ("{}/x", "no such")])
def test_what_is_not_there_is_said(export, spec, told):
    with pytest.raises(DatasetError, match=told):
        register_datasets(f"one=roboflow:{spec.format(export)}")
