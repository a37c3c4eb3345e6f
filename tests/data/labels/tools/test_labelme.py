"""LabelMe and X-AnyLabeling: every shape, group and name of an image that their users make."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as mask_utils

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tools.labelme import read_labelme


def make_image(path: Path, width: int = 100, height: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", (width, height)).save(path)


def shape(kind: str | None, points: list, label: object = "bolt", **more: object) -> dict:
    return {"label": label, "shape_type": kind, "points": points, **more}


def png(pixels: np.ndarray) -> str:
    data = io.BytesIO()
    PIL.Image.fromarray(pixels.astype(np.uint8) * 255).convert("1").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


class Folder:
    def __init__(self, root: Path) -> None:
        self.labels, self.images = root / "labels", root / "images"
        make_image(self.images / "a.jpg")
        self.labels.mkdir()

    def write(self, *shapes: object, name: str = "a.json", **more: object) -> None:
        content = {"imagePath": "a.jpg", "imageData": "AAAA", "imageWidth": 100, "imageHeight": 80}
        path = self.labels / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**content, "shapes": list(shapes), **more}))

    def read(self, *rules: str) -> DatasetReading:
        spec = DatasetSpec("d", "labelme", str(self.labels), str(self.images))
        return read_labelme(spec, Policy.of(rules))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def only(reading: DatasetReading) -> dict:
    assert reading.problems == []
    (annotation,) = reading.records[0]["annotations"]
    return annotation


def changes(reading: DatasetReading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


@pytest.mark.parametrize(
    ("one", "box", "polygon"),
    [
        (shape("rectangle", [[9, 8], [1, 2]]), [1, 2, 8, 6], None),
        (shape("rectangle", [[20, 20], [50, 20], [50, 50], [20, 50]]), [20, 20, 30, 30], None),
        (shape("rectangle", [[20, 20], [20, 50], [50, 50], [50, 20]]), [20, 20, 30, 30], None),
        (
            shape("rectangle", [[20, 20], [50, 22], [50, 50], [20, 50]]),
            [20, 20, 30, 30],
            [20, 20, 50, 22, 50, 50, 20, 50],
        ),
        (
            shape("polygon", [[20, 20], [50, 22], [40, 50]]),
            [20, 20, 30, 30],
            [20, 20, 50, 22, 40, 50],
        ),
        (shape(None, [[20, 20], [50, 22], [40, 50]]), [20, 20, 30, 30], [20, 20, 50, 22, 40, 50]),
        (
            shape("rotation", [[30, 10], [50, 30], [30, 50], [10, 30]], direction=0.785),
            [10, 10, 40, 40],
            [30, 10, 50, 30, 30, 50, 10, 30],
        ),
    ],
)
def test_boxes_and_polygons(folder, one, box, polygon):
    folder.write(one)
    reading = folder.read()
    annotation = only(reading)
    assert annotation["bbox"] == box
    assert annotation.get("segmentation") == (polygon and [polygon])
    assert changes(reading) == ({"shape-enclosed": 1} if polygon else {})


def test_a_circle_is_enclosed_and_clipped(folder):
    folder.write(shape("circle", [[90, 40], [90, 52]]))
    reading = folder.read()
    annotation = only(reading)
    assert annotation["bbox"] == [78, 28, 22, 24]
    (points,) = annotation["segmentation"]
    assert max(points[::2]) == 100
    distances = [math.hypot(x - 90, y - 40) for x, y in zip(points[::2], points[1::2], strict=True)]
    assert max(distances) == pytest.approx(12)
    assert changes(reading) == {"shape-enclosed": 1, "box-over-edge": 1}


def test_a_mask_lies_at_its_box(folder):
    pixels = np.zeros((5, 6), bool)
    pixels[1:4, 2:] = True
    pixels[1, 2] = False
    folder.write(shape("mask", [[10, 20], [15, 24]], mask=png(pixels)))
    annotation = only(folder.read())
    assert annotation["bbox"] == [12, 21, 4, 3]
    full = np.zeros((80, 100), bool)
    full[20:25, 10:16] = pixels
    np.testing.assert_array_equal(mask_utils.decode(annotation["segmentation"]) > 0, full)


@pytest.mark.parametrize("mask", [None, "no base64!", base64.b64encode(b"GIF89a").decode(), 7])
def test_a_broken_mask_is_told(folder, mask):
    folder.write(shape("mask", [[10, 20], [15, 24]], mask=mask))
    (problem,) = folder.read().problems
    assert problem.entry == "shapes[0]"
    assert "must be a PNG in base64" in str(problem)
    annotation = only(folder.read("labelme-mask=fix"))
    assert annotation["bbox"] == [10, 20, 5, 4]
    assert "segmentation" not in annotation


def test_a_mask_of_another_size_than_its_box_is_told(folder):
    folder.write(shape("mask", [[10, 20], [15, 24]], mask=png(np.ones((5, 5), bool))))
    assert "of the size of its box" in str(folder.read().problems[0])


@pytest.mark.parametrize("kind", ["point", "line", "linestrip", "points"])
def test_shapes_without_area_are_told_or_dropped(folder, kind):
    folder.write(shape(kind, [[1, 2], [3, 9]], "nose"), shape("rectangle", [[1, 2], [3, 9]]))
    assert "must have an area" in str(folder.read().problems[0])
    reading = folder.read("shape-without-area=drop")
    assert only(reading)["bbox"] == [1, 2, 2, 7]
    assert reading.class_names == ["bolt"]  # no class of which there is no object
    assert changes(reading) == {"shape-without-area": 1}


def test_shapes_of_a_group_are_one_object(folder):
    left, right = [[10, 10], [20, 10], [20, 30]], [[30, 10], [40, 10], [40, 40]]
    folder.write(
        shape("polygon", left, group_id=1),
        shape("polygon", left, "nut", group_id=1),
        shape("polygon", right, group_id=1),
        shape("polygon", right, group_id=2),
        shape("polygon", right, group_id=None),
    )
    reading = folder.read()
    # The last two agree; merging duplicates is another step.
    assert [(one["category_id"], one["bbox"]) for one in reading.records[0]["annotations"]] == [
        (0, [10, 10, 30, 30]),
        (1, [10, 10, 10, 20]),
        (0, [30, 10, 10, 30]),
        (0, [30, 10, 10, 30]),
    ]
    assert reading.records[0]["annotations"][0]["segmentation"] == [
        [10, 10, 20, 10, 20, 30],
        [30, 10, 40, 10, 40, 40],
    ]
    assert changes(reading)["shape-grouped"] == 1


def test_a_group_of_a_mask_and_a_box(folder):
    folder.write(
        shape("mask", [[10, 20], [15, 24]], mask=png(np.ones((5, 6), bool)), group_id=3),
        shape("rectangle", [[30, 40], [34, 44]], group_id=3),
    )
    annotation = only(folder.read())
    assert annotation["bbox"] == [10, 20, 24, 24]
    assert mask_utils.area(annotation["segmentation"]) == 30 + 16


def test_labels_that_are_no_plain_text(folder):
    box = [[1, 2], [3, 9]]
    folder.write(
        shape("rectangle", box, " nut "),
        shape("rectangle", box, 10),
        shape("rectangle", box, 9),
        shape("rectangle", box, "nut"),
    )
    reading = folder.read()
    assert reading.problems == []
    assert reading.class_names == ["9", "10", "nut"]
    found = [one["category_id"] for one in reading.records[0]["annotations"]]
    assert found == [2, 1, 0, 2]
    assert changes(reading) == {"class-plain": 3}
    folder.write(*(shape("rectangle", box, label) for label in ("", "  ", None, ["x"])))
    reading = folder.read()
    assert [problem.entry for problem in reading.problems] == [f"shapes[{i}]" for i in range(4)]
    assert {str(problem.rule) for problem in reading.problems} == {"a label must have a class"}


@pytest.mark.parametrize(
    "name",
    ["C:\\Users\\me\\a.jpg", "..\\old\\a.jpg", "/home/me/a.jpg", "A.JPG", "a.png", "x/a.jpg"],
)
def test_images_are_found_by_name(folder, name):
    folder.write(shape("rectangle", [[1, 2], [3, 9]]), imagePath=name)
    reading = folder.read()
    assert only(reading)["bbox"] == [1, 2, 2, 7]
    assert reading.records[0]["file_name"] == str(folder.images / "a.jpg")
    assert changes(reading) == {"path-mapped": 1}


def test_labels_and_images_in_folders_alike(folder):
    make_image(folder.images / "x/b.jpg")
    make_image(folder.images / "y/b.jpg")
    box = shape("rectangle", [[1, 2], [3, 9]])
    folder.write(box, name="y/b.json", imagePath="b.jpg")
    reading = folder.read()
    assert reading.problems == []
    labelled = [Path(one["file_name"]) for one in reading.records if one["annotations"]]
    assert labelled == [folder.images / "y/b.jpg"]
    assert changes(reading) == {"image-without-labels": 2}
    assert len(folder.read("image-without-labels=drop").records) == 1
    # By its name alone it might be either.
    folder.write(box, name="b.json", imagePath="D:\\b.jpg")
    assert "the image file must exist" in str(folder.read().problems[0])


def test_files_that_are_not_of_labelme(folder):
    folder.write(shape("rectangle", [[1, 2], [3, 9]]))
    (folder.labels / "via.json").write_text('{"_via_settings": {}}')
    (folder.labels / "cut.json").write_text('{"shapes": [')
    for hidden in ("._a.json", ".ipynb_checkpoints/a-checkpoint.json"):
        (folder.labels / hidden).parent.mkdir(exist_ok=True)
        (folder.labels / hidden).write_bytes(b"\x00\xff")
    cut, via = folder.read().problems
    assert "cut.json: line 1" in str(cut)
    assert "via.json: whole file" in str(via)
    reading = folder.read("label-file-broken=drop")
    assert only(reading)["bbox"] == [1, 2, 2, 7]
    assert changes(reading) == {"label-file-broken": 2}


def test_boxes_in_a_smaller_copy_are_refused_or_scaled(folder):
    folder.write(shape("polygon", [[1, 2], [3, 2], [3, 9]]), imageWidth=50, imageHeight=40)
    assert "lie elsewhere" in str(folder.read().problems[0])
    annotation = only(folder.read("image-scaled=fix"))
    assert annotation["bbox"] == [2, 4, 4, 14]
    assert annotation["segmentation"] == [[2, 4, 6, 4, 6, 18]]


def test_two_files_of_one_image(folder):
    for name, x in (("a.json", 3), ("b.json", 30)):
        folder.write(shape("rectangle", [[1, 2], [x, 9]]), name=name)
    assert "may be listed once" in str(folder.read().problems[0])
    (record,) = folder.read("image-twice=fix").records
    assert [one["bbox"][2] for one in record["annotations"]] == [2, 29]
