"""Each format as a round trip: written by the test, read back as Detectron2 dataset dicts."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.data.labels.coco_json.coco import read_coco
from smallobj.data.labels.image_list import list_images
from smallobj.data.labels.public_sets.challenge import read_challenge
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.yolo_txt.yolo import read_yolo
from smallobj.images.size import read_size, read_sizes


def make_image(path: Path, width: int = 40, height: int = 30, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (width, height), (90, 120, 60)).save(path, **options)


def boxes_of(record):
    return [(box["category_id"], *box["bbox"]) for box in record["annotations"]]


def test_challenge(tmp_path):
    make_image(tmp_path / "data/10.jpg", 50, 20)
    make_image(tmp_path / "data/9.jpg")
    make_image(tmp_path / "data/11.jpg")  # not labelled, so not part of the dataset
    labels = {"10.jpg": [[29.0, 0.0, 1.5, 10.0, 18.5], [3, 4, 5, 6, 7]], "9.jpg": []}
    (tmp_path / "label").write_text(json.dumps(labels))
    spec = DatasetSpec("d", "challenge", str(tmp_path / "label"), str(tmp_path / "data"))
    reading = read_challenge(spec)
    assert reading.problems == []
    assert reading.class_names == list(CHALLENGE_CLASSES_EN)
    nine, ten = reading.records
    assert [os.path.basename(r["file_name"]) for r in (nine, ten)] == ["9.jpg", "10.jpg"]
    assert (ten["height"], ten["width"]) == (20, 50)
    assert (nine["height"], nine["width"]) == (30, 40)
    assert nine["image_id"] != ten["image_id"]
    assert boxes_of(ten) == [(29, 0, 1.5, 10, 18.5), (3, 4, 5, 6, 7)]
    assert boxes_of(nine) == []


def test_challenge_without_labels_lists_the_folder(tmp_path):
    for name in ("2.jpg", "10.jpg"):
        make_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    reading = read_challenge(DatasetSpec("d", "challenge", "", str(tmp_path)))
    assert [os.path.basename(r["file_name"]) for r in reading.records] == ["2.jpg", "10.jpg"]
    assert all(r["annotations"] == [] for r in reading.records)


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.json", '["cat", "dog"]'), ("c.txt", "cat\ndog\n"), ("c.yaml", "names: {0: cat, 1: dog}")],
)
def test_class_files(tmp_path, name, text):
    make_image(tmp_path / "data/1.jpg")
    (tmp_path / name).write_text(text)
    (tmp_path / "label").write_text('{"1.jpg": [[1, 1, 1, 5, 5]]}')
    reading = read_challenge(
        DatasetSpec(
            "d",
            "challenge",
            str(tmp_path / "label"),
            str(tmp_path / "data"),
            str(tmp_path / name),
        )
    )
    assert reading.problems == []
    assert reading.class_names == ["cat", "dog"]


def test_coco_maps_ids_and_keeps_crowds_and_polygons(tmp_path):
    make_image(tmp_path / "images/a.jpg")
    make_image(tmp_path / "images/sub/b.png", 20, 10)
    polygon = [1, 1, 9, 1, 9, 9]
    content = {
        "images": [
            {"id": 70, "file_name": "a.jpg", "width": 40, "height": 30},
            {"id": 3, "file_name": "sub/b.png"},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 70,
                "category_id": 8,
                "bbox": [1, 1, 8, 8],
                "segmentation": [polygon, [1, 2, 3, 4]],
            },
            {"id": 2, "image_id": 70, "category_id": 2, "bbox": [0, 0, 40, 30], "iscrowd": 1},
            {"image_id": 3, "category_id": 2, "bbox": [2, 3, 4.5, 5], "segmentation": []},
        ],
        "categories": [{"id": 8, "name": "nut"}, {"id": 2, "name": "bolt"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    reading = read_coco(
        DatasetSpec("d", "coco", str(tmp_path / "a.json"), str(tmp_path / "images"))
    )
    assert reading.problems == []
    assert reading.class_names == ["bolt", "nut"]
    assert reading.class_ids == {2: 0, 8: 1}
    first, second = reading.records
    assert (first["image_id"], second["image_id"]) == (70, 3)
    assert boxes_of(first) == [(1, 1, 1, 8, 8), (0, 0, 0, 40, 30)]
    assert [box["iscrowd"] for box in first["annotations"]] == [0, 1]
    assert first["annotations"][0]["segmentation"] == [polygon]
    assert (second["height"], second["width"]) == (10, 20)
    assert boxes_of(second) == [(0, 2, 3, 4.5, 5)]
    assert "segmentation" not in second["annotations"][0]


def test_yolo(tmp_path):
    make_image(tmp_path / "images/a.jpg")
    make_image(tmp_path / "images/x/b.jpg", 100, 200)
    make_image(tmp_path / "images/empty.jpg")
    (tmp_path / "labels/x").mkdir(parents=True)
    # x, y, w, h = 10, 6, 20, 12 in a 40x30 image; b: 5, 20, 30, 40 in 100x200
    (tmp_path / "labels/a.txt").write_text("1 0.5 0.4 0.5 0.4\n\n")
    (tmp_path / "labels/x/b.txt").write_text("0 0.2 0.2 0.3 0.2\n")
    (tmp_path / "labels/classes.txt").write_text("cat\ndog\n")
    (tmp_path / "data.yaml").write_text("train: images\nnc: 2\nnames: [cat, dog]\n")
    reading = read_yolo(
        DatasetSpec(
            "d",
            "yolo",
            str(tmp_path / "labels"),
            str(tmp_path / "images"),
            str(tmp_path / "data.yaml"),
        )
    )
    assert reading.problems == []
    by_name = {os.path.basename(r["file_name"]): boxes_of(r) for r in reading.records}
    assert set(by_name) == {"a.jpg", "b.jpg", "empty.jpg"}
    assert by_name["empty.jpg"] == []
    np.testing.assert_allclose(by_name["a.jpg"], [(1, 10, 6, 20, 12)])
    np.testing.assert_allclose(by_name["b.jpg"], [(0, 5, 20, 30, 40)])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_size_is_that_of_the_decoded_image(tmp_path, orientation, ending):
    path = tmp_path / f"turned.{ending}"
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    make_image(path, 40, 30, exif=exif)
    assert read_size(str(path)) == cv2.imread(str(path)).shape[:2]


def test_broken_exif_is_ignored(tmp_path):
    path = tmp_path / "a.jpg"
    make_image(path, 40, 30, exif=b"Exif\x00\x00not a TIFF header")
    assert read_size(str(path)) == (30, 40) == cv2.imread(str(path)).shape[:2]


def test_size_of_an_image_beyond_pillows_limit(tmp_path, monkeypatch):
    make_image(tmp_path / "large.png", 60, 60)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    assert read_sizes([str(tmp_path / "large.png")]) == [(60, 60)]
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


def test_images_are_listed_in_natural_order(tmp_path):
    for name in ("b10.JPG", "b9.png", "b007.png", "a.tiff", "sub/1.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(str(tmp_path)) == ["a.tiff", "b007.png", "b9.png", "b10.JPG", "sub/1.jpeg"]


def test_a_folder_of_images_counts_what_is_not_read(tmp_path, caplog):
    for name in ("a.jpg", "b.heic", "below/c.NEF", "._a.jpg", ".trash/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list_images(str(tmp_path)) == ["a.jpg"]
    assert "passed over 1 .heic, 1 .nef" in caplog.text
