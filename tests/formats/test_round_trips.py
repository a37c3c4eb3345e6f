"""Every format as a round trip: what it can hold comes back to the last bit."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import PIL.Image
import pytest

from smallobj.formats import BoxSet, ImageBoxes, Source, Target, read_boxes, write_boxes

FORMATS = ("coco", "csv", "cvat", "labelme", "yolo")
SCORED = ("coco-results", "csv", "cvat", "labelme", "yolo")
# These list images in their own order; and which classes there are, only a file of names tells.
FOLDERS = ("csv", "labelme", "yolo")


def assert_same(found: BoxSet, given: BoxSet, ordered: bool = True) -> None:
    """Equal to the last bit: names, sizes, boxes, classes, scores, crowds."""
    assert list(found.class_names) == list(given.class_names)
    ours, theirs = list(found.images), list(given.images)
    if not ordered:
        ours, theirs = (sorted(images, key=lambda one: one.file) for images in (ours, theirs))
    assert [image.file for image in ours] == [image.file for image in theirs]
    for image, other in zip(ours, theirs, strict=True):
        assert image.size == other.size
        np.testing.assert_array_equal(image.boxes, other.boxes)
        np.testing.assert_array_equal(image.classes, other.classes)
        assert image.score_list == other.score_list
        assert image.crowds == other.crowds


@pytest.fixture
def place(tmp_path, photographs):
    """Writes and reads in one folder, with all that a format may ask for."""
    return Place(tmp_path, photographs)


class Place:
    def __init__(self, folder, photographs):
        self.folder, self.photographs = folder, photographs
        self.names = folder / "names.json"
        self.names.write_text(json.dumps(photographs.classes), encoding="utf-8")
        self.coco = folder / "images.json"
        write_boxes("coco", photographs.boxes(0), Target(str(self.coco)))

    def there_and_back(self, name: str, boxes: BoxSet, step: int = 0) -> BoxSet:
        path, images = str(self.folder / f"{step}-{name}"), str(self.photographs.folder)
        coco_images = str(self.coco) if name == "coco-results" else ""
        write_boxes(name, boxes, Target(path, images, coco_images))
        classes = str(self.names) if name in FOLDERS else ""
        return read_boxes(name, Source(path, images, classes, coco_images))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FORMATS)
def test_labels(name, seed, place, photographs):
    boxes = photographs.boxes(seed)
    assert_same(place.there_and_back(name, boxes), boxes, ordered=name not in FOLDERS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SCORED)
def test_detections(name, seed, place, photographs):
    boxes = photographs.boxes(seed, scored=True)
    found = place.there_and_back(name, boxes)
    assert found.has_scores
    assert_same(found, boxes, ordered=name not in FOLDERS)


@pytest.mark.parametrize("name", ["coco", "cvat", "labelme"])
def test_crowd_regions(name, place, photographs):
    boxes = photographs.boxes(1, crowd=True)
    assert any(any(image.crowds) for image in boxes.images)
    assert_same(place.there_and_back(name, boxes), boxes, ordered=name not in FOLDERS)


@pytest.mark.parametrize("name", ["csv", "yolo"])
def test_crowd_regions_never_become_objects(name, place, photographs):
    boxes = photographs.boxes(1, crowd=True)
    with pytest.raises(ValueError, match=r"10\.jpg.*crowd regions.*--drop-crowd"):
        place.there_and_back(name, boxes)
    kept = boxes.without_crowds()
    assert sum(map(len, kept.images)) < sum(map(len, boxes.images))
    assert_same(place.there_and_back(name, kept, 1), kept, ordered=False)


def test_through_all_formats_in_turn(place, photographs):
    """A detection survives any chain: each pair of formats meets in one of the two chains."""
    boxes = photographs.boxes(5, scored=True)
    chain = [name for pair in itertools.permutations(SCORED, 2) for name in pair]
    found = boxes
    for step, name in enumerate(chain):
        found = place.there_and_back(name, found, step)
    assert_same(found, boxes, ordered=False)


@pytest.mark.parametrize("name", FORMATS)
def test_images_without_any_box(name, place, photographs):
    sizes = photographs.sizes
    empty = [ImageBoxes(file, size, np.zeros((0, 4)), np.zeros(0)) for file, size in sizes.items()]
    boxes = BoxSet(empty, list(photographs.classes))
    assert_same(place.there_and_back(name, boxes), boxes, ordered=False)


@pytest.mark.parametrize("name", ["coco", "csv", "cvat", "labelme", "yolo"])
def test_no_images_at_all(name, tmp_path):
    (tmp_path / "none").mkdir()
    names = tmp_path / "names.txt"
    names.write_text("bolt\n")
    path, images = str(tmp_path / "out"), str(tmp_path / "none")
    (tmp_path / "out").mkdir() if name == "labelme" else None
    write_boxes(name, BoxSet([], ["bolt"]), Target(path, images))
    classes = str(names) if name in FOLDERS else ""
    found = read_boxes(name, Source(path, images, classes))
    assert (list(found.images), list(found.class_names)) == ([], ["bolt"])


def test_coco_keeps_its_ids(tmp_path):
    content = {
        "images": [
            {"id": 70, "file_name": "b.jpg", "width": 40, "height": 30},
            {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 3, "image_id": 7, "category_id": 9, "bbox": [0.1, 0.2, 10.3, 4], "area": 41.2}
        ],
        "categories": [{"id": 9, "name": "nut"}, {"id": 4, "name": "bolt"}],
    }
    (tmp_path / "in.json").write_text(json.dumps(content))
    boxes = read_boxes("coco", Source(str(tmp_path / "in.json")))
    assert list(boxes.class_names) == ["bolt", "nut"]
    np.testing.assert_array_equal(boxes.images[1].boxes, [[0.1, 0.2, 10.4, 4.2]])
    write_boxes("coco", boxes, Target(str(tmp_path / "out.json")))
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["images"] == content["images"]
    assert written["categories"] == content["categories"][::-1]
    assert written["annotations"] == [
        {**content["annotations"][0], "id": 1, "iscrowd": 0},
    ]
    scored = [dataclasses.replace(image, scores=np.full(len(image), 0.5)) for image in boxes.images]
    detections = dataclasses.replace(boxes, images=scored)
    write_boxes("coco-results", detections, Target(str(tmp_path / "found.json")))
    assert json.loads((tmp_path / "found.json").read_text()) == [
        {"image_id": 7, "category_id": 9, "bbox": [0.1, 0.2, 10.3, 4], "score": 0.5}
    ]


def test_a_box_beyond_the_border_by_less_than_a_pixel_is_clipped(tmp_path):
    text = "file,class_id,class,score,x1,y1,x2,y2\n9.jpg,0,bolt,0.5,-0.5,2,48.4,20\n"
    (tmp_path / "in.csv").write_text(text)
    (tmp_path / "photos").mkdir()
    PIL.Image.new("L", (48, 64)).save(tmp_path / "photos/9.jpg")
    found = read_boxes("csv", Source(str(tmp_path / "in.csv"), str(tmp_path / "photos")))
    np.testing.assert_array_equal(found.images[0].boxes, [[0, 2, 48, 20]])


def test_yolo_with_the_six_decimals_of_other_writers(tmp_path, photographs):
    """Half a unit of the last digit, of the centre and of half the side."""
    boxes = photographs.boxes(2, scored=True)
    labels, images = tmp_path / "labels", str(photographs.folder)
    write_boxes("yolo", boxes, Target(str(labels), images))
    for path in labels.rglob("*.txt"):
        if path.name != "classes.txt":
            words = [line.split() for line in path.read_text().splitlines()]
            lines = [[row[0], *(f"{float(word):.6f}" for word in row[1:])] for row in words]
            path.write_text("\n".join(map(" ".join, lines)))
    found = {image.file: image for image in read_boxes("yolo", Source(str(labels), images)).images}
    for image in boxes.images:
        height, width = image.size
        bound = 0.75e-6 * np.array([width, height, width, height]) + 1e-6
        assert (abs(found[image.file].boxes - image.boxes) <= bound).all()


def test_class_ids_of_yolo_with_gaps_become_category_ids(tmp_path):
    for folder in ("labels", "photos"):
        (tmp_path / folder).mkdir()
    PIL.Image.new("L", (40, 20)).save(tmp_path / "photos/a.jpg")
    (tmp_path / "labels/a.txt").write_text("2 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text("names: {0: bolt, 2: nut}")
    places = [str(tmp_path / name) for name in ("labels", "photos", "data.yaml")]
    write_boxes("coco", read_boxes("yolo", Source(*places)), Target(str(tmp_path / "out.json")))
    written = json.loads((tmp_path / "out.json").read_text())
    assert [(c["id"], c["name"]) for c in written["categories"]] == [(0, "bolt"), (2, "nut")]
    assert [(a["category_id"], a["bbox"]) for a in written["annotations"]] == [(2, [10, 5, 20, 10])]
