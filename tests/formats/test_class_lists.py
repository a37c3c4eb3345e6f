"""Names and ids of classes survive every way through the formats, also of classes without a box."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json

import numpy as np
import pytest

from smallobj.formats import BoxSet, ImageBoxes, Source, Target, read_boxes, write_boxes
from smallobj.formats.class_list import ClassList, in_order, with_ids

# Class 0 occurs nowhere, and the ids have gaps.
NAMES = ("never used", 'Nuß "x", y', "a, b", "너트 볼트", "last, unused")
IDS = (1, 3, 7, 8, 90)
LABELS = ("coco", "csv", "cvat", "json", "labelme", "yolo")
DETECTIONS = ("coco-results", "csv", "cvat", "json", "labelme", "yolo")
PAIRS = [(*pair, False) for pair in itertools.permutations(LABELS, 2)]
PAIRS += [(*pair, True) for pair in itertools.permutations(DETECTIONS, 2)]


def with_classes(boxes: BoxSet, ids=IDS) -> BoxSet:
    """The photographs' boxes, of the classes 3, 2 and 1 in this order."""
    images = [dataclasses.replace(image, classes=3 - image.classes) for image in boxes.images]
    return BoxSet(images, list(NAMES), list(ids))


def same(found: BoxSet, given: BoxSet) -> None:
    assert list(found.class_names) == list(given.class_names)
    assert list(found.category_ids) == list(given.category_ids)
    ours, theirs = ({image.file: image for image in one.images} for one in (found, given))
    assert ours.keys() == theirs.keys()
    for file, image in ours.items():
        np.testing.assert_array_equal(image.boxes, theirs[file].boxes)
        np.testing.assert_array_equal(image.classes, theirs[file].classes)
        assert image.score_list == theirs[file].score_list


@pytest.mark.parametrize(("first", "second", "scored"), PAIRS)
def test_there_and_back(first, second, scored, tmp_path, photographs):
    boxes = with_classes(photographs.boxes(4, scored=scored))
    truth = str(tmp_path / "truth.json")
    write_boxes("coco", with_classes(photographs.boxes(4)), Target(truth))
    found = boxes
    for step, name in enumerate((first, second, first)):
        path = str(tmp_path / f"{step}.{name}")
        coco_images = truth if name == "coco-results" else ""
        write_boxes(name, found, Target(path, str(photographs.folder), coco_images))
        found = read_boxes(name, Source(path, str(photographs.folder), coco_images=coco_images))
        same(found, boxes)


def one_image(classes, names, ids=()) -> BoxSet:
    count = len(classes)
    corners = np.arange(4.0 * count).reshape(-1, 4)
    return BoxSet([ImageBoxes("a.jpg", (90, 90), corners, np.array(classes))], names, ids)


HEADER = "file,class_id,class,score,x1,y1,x2,y2\n"


def test_a_table_without_a_list_keeps_its_numbers(tmp_path):
    """As earlier versions wrote it: class 0 does not occur, 2 and 5 do."""
    path = tmp_path / "found.csv"
    path.write_text(HEADER + "a.jpg,5,nut,0.5,1,1,9,9\na.jpg,2,bolt,0.5,1,1,9,9\n")
    boxes = read_boxes("csv", Source(str(path)))
    assert (list(boxes.class_names), list(boxes.category_ids)) == (["bolt", "nut"], [2, 5])
    assert boxes.images[0].classes.tolist() == [1, 0]
    sized = dataclasses.replace(boxes.images[0], size=(90, 90), scores=None)
    boxes = dataclasses.replace(boxes, images=[sized])
    for name in ("labelme", "cvat", "json", "csv", "coco"):
        write_boxes(name, boxes, Target(str(tmp_path / name)))
        boxes = read_boxes(name, Source(str(tmp_path / name)))
        image = dataclasses.replace(boxes.images[0], size=(90, 90))  # a CSV has none
        boxes = dataclasses.replace(boxes, images=[image])
        assert (list(boxes.class_names), list(boxes.category_ids)) == (["bolt", "nut"], [2, 5])
    (tmp_path / "names.txt").write_text("zero\none\nbolt\nthree\nfour\nnut\n")
    named = read_boxes("csv", Source(str(path), classes=str(tmp_path / "names.txt")))
    assert named.class_names[0] == "zero"
    assert named.images[0].classes.tolist() == [5, 2]


def test_the_table_stays_plain(tmp_path):
    """Spreadsheets and pandas read it without options."""
    write_boxes("csv", one_image([1, 1], ["x", "a, b"], [4, 9]), Target(str(tmp_path / "t.csv")))
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER.strip().split(",")
    assert rows[1][:3] == ["a.jpg", "1", "a, b"]
    assert json.loads((tmp_path / "t.csv.classes.json").read_text()) == {
        "names": ["x", "a, b"],
        "category_ids": [4, 9],
    }


def labelme(tmp_path, *names):
    write_boxes("labelme", one_image(range(len(names)), names), Target(str(tmp_path / "in")))
    (tmp_path / "in.classes.json").unlink()
    return str(tmp_path / "in")


def test_labelme_without_a_list_sorts_its_names(tmp_path):
    boxes = read_boxes("labelme", Source(labelme(tmp_path, "nut 10", "nut 9", "bolt")))
    assert boxes.class_names == ["bolt", "nut 9", "nut 10"]
    assert boxes.images[0].classes.tolist() == [2, 1, 0]


@pytest.mark.parametrize("option", ["classes", "coco_images"])
def test_category_ids_come_back_by_name(tmp_path, option):
    path, truth = labelme(tmp_path, "nut", "bolt"), tmp_path / "truth.json"
    categories = [{"id": 7, "name": "nut"}, {"id": 3, "name": "bolt"}, {"id": 1, "name": "pin"}]
    images = [{"id": 44, "file_name": "a.jpg", "width": 90, "height": 90}]
    truth.write_text(json.dumps({"images": images, "annotations": [], "categories": categories}))
    boxes = read_boxes("labelme", Source(path, **{option: str(truth)}))
    write_boxes("coco", boxes, Target(str(tmp_path / "back.json")))
    content = json.loads((tmp_path / "back.json").read_text())
    assert content["categories"] == sorted(categories, key=lambda one: one["id"])
    assert [row["category_id"] for row in content["annotations"]] == [7, 3]
    assert content["images"][0]["id"] == (44 if option == "coco_images" else 1)


def test_a_name_drawn_later_comes_behind(tmp_path):
    """Who corrects labels may draw a class that the list beside does not have."""
    write_boxes("labelme", one_image([1], ["x", "y"], [4, 9]), Target(str(tmp_path / "in")))
    file = tmp_path / "in/a.json"
    content = json.loads(file.read_text())
    content["shapes"].append({**content["shapes"][0], "label": "new"})
    file.write_text(json.dumps(content))
    boxes = read_boxes("labelme", Source(str(tmp_path / "in")))
    assert list(boxes.class_names) == ["x", "y", "new"]
    assert list(boxes.category_ids) == [4, 9, 10]
    assert boxes.images[0].classes.tolist() == [1, 2]


def test_lists_in_words():
    boxes = one_image([0, 1], ["b", "a"])
    ordered = in_order(boxes, ClassList(["a", "b", "c"], [5, 6, 8]))
    assert list(ordered.class_names) == ["a", "b", "c"]
    assert ordered.images[0].classes.tolist() == [1, 0]
    assert list(ordered.category_ids) == [5, 6, 8]
    kept = with_ids(boxes, ClassList(["a"], [5]))
    assert (list(kept.class_names), list(kept.category_ids)) == (["b", "a"], [6, 5])


def test_a_stale_list_goes_with_the_files_that_it_was_about(tmp_path):
    target = Target(str(tmp_path / "out.xml"), overwrite=True)
    write_boxes("cvat", one_image([0], ["x"], [4]), target)
    assert list(read_boxes("cvat", Source(target.path)).category_ids) == [4]
    write_boxes("cvat", one_image([0], ["x"]), target)
    assert list(read_boxes("cvat", Source(target.path)).category_ids) == []
    write_boxes("csv", one_image([0], ["x"], [4]), Target(str(tmp_path / "t.csv")))
    (tmp_path / "t.csv").unlink()
    with pytest.raises(ValueError, match=r"t\.csv\.classes\.json: the file exists already"):
        write_boxes("csv", one_image([0], ["x"]), Target(str(tmp_path / "t.csv")))
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"names": ["x", "y"], "category_ids": [1]}, "one a class"),
        ({"names": ["x", "y"], "category_ids": [1, 1]}, "one a class"),
        ({"names": ["x", "x"]}, "distinct"),
        ({"categories": [{"id": "a", "name": "x"}]}, "distinct"),
    ],
)
def test_bad_lists(tmp_path, content, told):
    (tmp_path / "found.csv").write_text(HEADER)
    (tmp_path / "found.csv.classes.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"found\.csv\.classes\.json") as caught:
        read_boxes("csv", Source(str(tmp_path / "found.csv")))
    assert told in str(caught.value)
