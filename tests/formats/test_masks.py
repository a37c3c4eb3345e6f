"""Polygons and run-length codes go into every format that has a place for them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest

from smallobj.data.object_mask import segmentation_rle
from smallobj.formats import BoxSet, ImageBoxes, Source, Target, read_boxes, write_boxes

SIZE = (60, 80)
TRIANGLE = [10.0, 10.0, 30.0, 10.0, 10.0, 50.5]
PARTS = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0], [40.0, 1.0, 45.0, 1.0, 45.0, 5.0]]
PIXELS = segmentation_rle([[50.0, 20.0, 70.0, 20.0, 70.0, 30.0, 50.0, 30.0]], SIZE)
BOXES = [[10, 10, 30, 50.5], [1, 1, 45, 5], [50, 20, 70, 30], [3, 4, 9, 8]]


@pytest.fixture
def boxes(tmp_path):
    """A polygon, a mask of two parts, one of pixels, and a box alone."""
    (tmp_path / "photos").mkdir()
    PIL.Image.new("L", SIZE[::-1]).save(tmp_path / "photos/a.jpg")
    masks = [[TRIANGLE], PARTS, PIXELS, None]
    image = ImageBoxes("a.jpg", SIZE, np.array(BOXES), np.array([0, 1, 0, 1]), segmentations=masks)
    return BoxSet([image], ["nut", "bolt"])


def written(name, boxes, tmp_path):
    path = str(tmp_path / f"out.{name}")
    write_boxes(name, boxes, Target(path, str(tmp_path / "photos")))
    return path


def test_coco_keeps_masks_with_their_area(boxes, tmp_path):
    path = written("coco", boxes, tmp_path)
    (image,) = read_boxes("coco", Source(path)).images
    assert image.masks == boxes.images[0].masks
    areas = [row["area"] for row in json.loads(Path(path).read_text())["annotations"]]
    assert areas == [405, 8 + 10, 200, 24]
    alone = read_boxes("coco", Source(path)).without_masks()
    assert (
        "segmentation"
        not in json.loads(Path(written("coco", alone, tmp_path / "x")).read_text())["annotations"][
            0
        ]
    )


def test_a_polygon_goes_to_yolo_and_back(boxes, tmp_path, caplog):
    path = written("yolo", boxes, tmp_path)
    lines = [line.split() for line in Path(path, "a.txt").read_text().splitlines()]
    assert [len(line) for line in lines] == [7, 5, 5, 5]
    assert "2 of 3 masks are of several parts or of pixels" in caplog.text
    (image,) = read_boxes("yolo", Source(path, str(tmp_path / "photos"))).images
    np.testing.assert_allclose(image.boxes, BOXES, atol=1e-6)
    np.testing.assert_allclose(image.masks[0], [TRIANGLE], atol=1e-6)
    assert image.masks[1:] == [None] * 3


def test_labelme_and_cvat_have_polygons_beside_boxes(boxes, tmp_path):
    shapes = json.loads(Path(written("labelme", boxes, tmp_path), "a.json").read_text())["shapes"]
    assert [shape["shape_type"] for shape in shapes] == ["polygon", *["rectangle"] * 3]
    assert shapes[0]["points"] == [[10, 10], [30, 10], [10, 50.5]]
    assert shapes[3]["points"] == [[3, 4], [9, 8]]
    root = ElementTree.parse(written("cvat", boxes, tmp_path)).getroot()
    assert [shape.tag for shape in root.find("image")] == ["polygon", "box", "box", "box"]
    assert root.find("image/polygon").get("points") == "10,10;30,10;10,50.5"
    assert {label.findtext("type") for label in root.iter("label")} == {"any"}


def test_json_holds_codes(boxes, tmp_path):
    (image,) = read_boxes("json", Source(written("json", boxes, tmp_path))).images
    expected = [segmentation_rle(mask, SIZE) if mask else None for mask in boxes.images[0].masks]
    assert image.masks == expected


def test_a_table_says_what_it_leaves_out(boxes, tmp_path, caplog):
    written("csv", boxes, tmp_path)
    assert "only the boxes of 3 objects" in caplog.text


def test_crowds_take_their_masks_along(boxes):
    (image,) = boxes.images
    crowded = BoxSet(
        [ImageBoxes(**{**vars(image), "crowd": np.array([True, False, False, True])})],
        boxes.class_names,
    )
    assert crowded.without_crowds().images[0].masks == [PARTS, PIXELS]
