"""Label Studio's JSON: its shapes in percent, its tasks, and the names that it gives to images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tools.labelstudio import read_labelstudio


class Export:
    def __init__(self, root: Path) -> None:
        self.path, self.images = root / "export.json", root / "images"
        self.image("photo.jpg")

    def image(self, name: str, width: int = 200, height: int = 100) -> None:
        (self.images / name).parent.mkdir(exist_ok=True, parents=True)
        PIL.Image.new("L", (width, height)).save(self.images / name)

    def read(self, content: object, *rules: str, images: bool = True) -> DatasetReading:
        self.path.write_text(json.dumps(content))
        folder = str(self.images) if images else ""
        return read_labelstudio(
            DatasetSpec("d", "labelstudio", str(self.path), folder), Policy.of(rules)
        )


@pytest.fixture
def export(tmp_path):
    return Export(tmp_path)


def region(kind: str, label: str | None = "bolt", **value: object) -> dict:
    labels = {} if label is None else {kind: [label]}
    return {
        **{"id": "r1", "type": kind, "from_name": "label", "to_name": "image"},
        **{"original_width": 200, "original_height": 100, "image_rotation": 0},
        "value": {**value, **labels},
    }


def rectangle(label: str | None = "bolt", kind: str = "rectanglelabels", **value: object) -> dict:
    return region(kind, label, **{"x": 10, "y": 20, "width": 25, "height": 30, **value})


def task(*results: object, image: str = "/data/upload/3/1a2b3c4d-photo.jpg", **more) -> dict:
    annotations = [{"id": 5, "was_cancelled": False, "result": list(results)}]
    return {"id": 1, "data": {"image": image}, "annotations": annotations, **more}


def found(reading: DatasetReading) -> list[tuple[str, list[float]]]:
    assert reading.problems == []
    return [
        (reading.class_names[one["category_id"]], [round(value, 4) for value in one["bbox"]])
        for record in reading.records
        for one in record["annotations"]
    ]


def changes(reading: DatasetReading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


def problem(reading: DatasetReading) -> str:
    (one,) = reading.problems
    return str(one)


BOLT = [("bolt", [20, 20, 50, 30])]


@pytest.mark.parametrize(
    ("one", "box", "polygon"),
    [
        (rectangle(), [20, 20, 50, 30], None),
        # Clockwise about the first corner, in pixels.
        (rectangle(x=40, rotation=90), [50, 20, 30, 50], [80, 20, 80, 70, 50, 70, 50, 20]),
        (
            region("polygonlabels", points=[[10, 20], [30, 20], [10, 50]], closed=True),
            [20, 20, 40, 30],
            [20, 20, 60, 20, 20, 50],
        ),
        (region("ellipselabels", x=50, y=50, radiusX=10, radiusY=10), [80, 40, 40, 20], ...),
        (
            region("ellipselabels", x=50, y=50, radiusX=10, radiusY=10, rotation=90),
            [90, 30, 20, 40],
            ...,
        ),
    ],
)
def test_shapes(export, one, box, polygon):
    reading = export.read([task(one)])
    assert found(reading) == [("bolt", box)]
    segmentation = reading.records[0]["annotations"][0].get("segmentation")
    if polygon is None:
        assert segmentation is None
    elif polygon is not ...:
        np.testing.assert_allclose(segmentation, [polygon])
    assert changes(reading) == {"path-mapped": 1} | ({"shape-enclosed": 1} if polygon else {})


def test_shapes_that_are_not_read(export):
    reading = export.read([task(region("brushlabels", format="rle", rle=[1, 2]), rectangle())])
    assert found(reading) == BOLT
    assert changes(reading)["labelstudio-brush"] == 1
    keypoint = region("keypointlabels", x=10, y=20, width=0.5)
    assert "must have an area" in problem(export.read([task(keypoint)]))
    assert "a rectangle, polygon or ellipse" in problem(export.read([task(region("vectorlabels"))]))
    broken = rectangle()
    del broken["value"]["width"]
    assert "a rectangle has x, y, width" in problem(export.read([task(broken)]))
    turned = {**rectangle(), "image_rotation": 90}
    assert "image_rotation must be 0" in problem(export.read([task(turned)]))
    assert found(export.read([task(turned)], "labelstudio-turned=fix")) == BOLT


def test_shapes_and_labels_drawn_with_two_tools(export):
    shape, labels = rectangle(None, "rectangle"), rectangle("bolt", "labels")
    assert found(export.read([task(shape, labels)])) == BOLT
    assert found(export.read([task(labels)])) == BOLT
    assert "must have a class" in problem(export.read([task(shape)]))


def test_several_labels_of_a_region(export):
    one = rectangle()
    one["value"]["rectanglelabels"] = ["bolt", "nut"]
    assert "must have one label" in problem(export.read([task(one)]))
    assert found(export.read([task(one)], "labelstudio-labels=fix")) == BOLT


def test_answers_and_relations_are_no_objects(export):
    of_region = {"id": "r1", "type": "choices", "value": {"choices": ["rusty"]}}
    of_image = {"id": "r2", "type": "choices", "value": {"choices": ["dark"]}}
    relation = {"type": "relation", "from_id": "r1", "to_id": "r1"}
    reading = export.read([task(rectangle(), of_region, of_image, relation)])
    assert found(reading) == BOLT
    assert changes(reading)["image-tag"] == 1


def test_the_flat_form(export):
    flat = {
        **{"x": 10, "y": 20, "width": 25, "height": 30, "rotation": 0},
        **{"rectanglelabels": ["bolt"], "original_width": 200, "original_height": 100},
    }
    content = {"id": 1, "image": "/data/upload/3/1a2b3c4d-photo.jpg", "label": [flat]}
    assert found(export.read([content])) == BOLT
    assert found(export.read([{"id": 1, "image": "photo.jpg", "annotator": 1}])) == []


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/1a2b3c4d-photo.jpg",
        "/data/local-files/?d=folder/photo.jpg",
        "s3://bucket/folder/photo.jpg",
        "https://bucket.s3.amazonaws.com/photo.jpg?X-Amz-Signature=ab.cd",
        "photo.jpg",
    ],
)
def test_names_of_images(export, image):
    reading = export.read([task(rectangle(), image=image)])
    assert found(reading) == BOLT
    assert reading.records[0]["file_name"] == str(export.images / "photo.jpg")
    assert changes(reading).get("path-mapped", 0) == (image != "photo.jpg")
    (record,) = export.read([task(rectangle(), image=image)], images=False).records
    assert Path(record["file_name"]).name == "photo.jpg"
    assert not Path(record["file_name"]).is_absolute()
    assert (record["height"], record["width"]) == (100, 200)


def test_the_key_of_the_image(export):
    content = task(rectangle())
    content["data"] = {"picture": "photo.jpg", "note": "dark"}
    assert found(export.read([content])) == BOLT
    content["data"] = {"left": "photo.jpg", "right": "photo.jpg"}
    assert "one image in its data" in problem(export.read([content]))


def test_percents_hold_in_a_copy_of_another_size(export):
    export.image("photo.jpg", 400, 200)
    assert found(export.read([task(rectangle())])) == [("bolt", [40, 40, 100, 60])]


def test_annotations_of_a_task(export):
    one = task(rectangle(), image="photo.jpg")
    cancelled = {"was_cancelled": True, "result": [rectangle("nut")]}
    one["annotations"] = [cancelled, *one["annotations"], {"result": [rectangle("pin")]}]
    reading = export.read([one])
    assert found(reading) == BOLT
    assert changes(reading) == {"labelstudio-annotations": 1}
    one["annotations"] = [cancelled]
    reading = export.read([one])
    assert reading.records == []
    assert changes(reading) == {"labelstudio-skipped": 1}
    one["annotations"] = []
    one["predictions"] = [{"result": [rectangle("pin")], "score": 0.5}]
    reading = export.read([one])
    assert found(reading) == []
    assert len(reading.records) == 1
    assert changes(reading) == {"labelstudio-predictions": 1, "image-without-labels": 1}
    one["annotations"] = [{"result": []}]
    assert changes(export.read([one])) == {"labelstudio-predictions": 1}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (5, "a JSON list of tasks"),
        ([5], "a task must be an object"),
        ([{"data": {}, "annotations": []}], "a task must be an object"),
        ([{"data": {"image": "photo.jpg"}, "annotations": [5]}], "a task must be an object"),
        ([task(5)], "a region must be an object"),
        ([task(rectangle(x="left"))], "a coordinate must be a number"),
        ([task(rectangle(), image="gone.jpg")], "the image file must exist"),
    ],
)
def test_what_is_no_task(export, content, rule):
    assert rule in problem(export.read(content))
