"""COCO files as other tools write them: what is understood, under which rule it is counted."""

import json

import PIL.Image
import pytest

from smallobj.data.labels.coco_json.coco import read_coco
from smallobj.data.labels.policy import Policy
from smallobj.data.labels.readers import read_labels
from smallobj.data.labels.spec import DatasetSpec

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}
LABEL = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 8], "iscrowd": 0}
BOLT = {"id": 1, "name": "bolt"}
POLYGON = [4, 5, 14, 5, 14, 13]


@pytest.fixture
def read(tmp_path):
    """Reads a COCO file of one image a.jpg of 40 x 30 pixels; each list may be replaced."""
    photo = tmp_path / "photos" / "deep" / "a.jpg"
    photo.parent.mkdir(parents=True)
    PIL.Image.new("RGB", (40, 30)).save(photo)

    def run(
        images=(IMAGE,), annotations=(LABEL,), categories=(BOLT,), rules=(), folder="photos/deep"
    ):
        content = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / "l.json").write_text(json.dumps(content))
        spec = DatasetSpec("d", "coco", str(tmp_path / "l.json"), str(tmp_path / folder))
        return read_labels(spec, Policy.of(rules))

    return run


def counted(reading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


def boxes(reading) -> list[list[float]]:
    return [box["bbox"] for record in reading.records for box in record["annotations"]]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"images": [IMAGE | {"id": "1"}]}, "id-text"),
        ({"images": [IMAGE | {"id": 1.0}]}, "id-text"),
        ({"categories": [BOLT | {"id": "1"}]}, "id-text"),
        ({"categories": [BOLT | {"name": 7}]}, "category-name"),
        ({"categories": [BOLT | {"name": " bolt "}]}, "category-name"),
        ({"images": [IMAGE | {"width": None, "height": None}]}, "image-size"),
        ({"images": [IMAGE | {"width": 0, "height": 0}]}, "image-size"),
        ({"images": [IMAGE | {"width": 41}]}, "image-size"),
        ({"images": [IMAGE | {"width": 30, "height": 40}]}, "image-size"),
        ({"annotations": [LABEL | {"iscrowd": None}]}, "crowd-null"),
        ({"annotations": [LABEL | {"bbox": ["4", "5", "10", "8.0"]}]}, "coco-bbox-text"),
        ({"annotations": [LABEL, LABEL | {"bbox": [5, 6, 7, 8]}]}, "annotation-id-twice"),
        ({"annotations": [LABEL, LABEL | {"id": 2}]}, "box-duplicate"),
        ({"annotations": [LABEL | {"bbox": None, "segmentation": [POLYGON]}]}, "coco-bbox-missing"),
        ({"annotations": [LABEL | {"bbox": [], "segmentation": POLYGON}]}, "mask-flat"),
    ],
)
def test_what_is_understood_is_counted(read, changes, rule):
    reading = read(**changes)
    assert reading.problems == []
    assert boxes(reading)[0] == [4, 5, 10, 8]
    assert counted(reading)[rule] == 1
    if rule not in ("id-text", "category-name"):
        assert not boxes(read(**changes, rules=["all=error"]))[1:]
    assert read(**changes, rules=[f"{rule}=error"]).problems


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("deep\\a.jpg", "photos"),
        ("photos/deep/a.jpg", "photos"),
        ("C:\\data\\photos\\a.jpg", "photos"),
        ("DEEP/A.JPG", "photos"),
        ("a.png", "photos/deep"),
        ("/data/upload/3/1a2b3c4d-a.jpg", "photos"),
        ("/data/local-files/?d=deep/a.jpg", "photos"),
        ("s3://bucket/deep/a.jpg", "photos"),
        ("./a.jpg", "photos/deep"),
        ("deep/a.jpg", "photos/deep"),
    ],
)
def test_an_image_is_found_under_the_names_of_other_systems(read, tmp_path, name, folder):
    reading = read([IMAGE | {"file_name": name}], folder=folder)
    assert reading.problems == []
    assert reading.records[0]["file_name"] == str(tmp_path / "photos/deep/a.jpg")
    exact = (tmp_path / folder / name).is_file()
    assert counted(reading) == ({} if exact else {"path-mapped": 1})


def test_a_whole_path_below_the_folder_comes_before_other_ends(read, tmp_path):
    (tmp_path / "photos/deep/sub").mkdir()
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "photos/deep/sub/a.jpg")
    reading = read([IMAGE | {"file_name": "deep/a.jpg"}])
    assert reading.records[0]["file_name"] == str(tmp_path / "photos/deep/a.jpg")


def test_a_name_that_two_images_share_finds_none(read, tmp_path):
    (tmp_path / "photos" / "other").mkdir()
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "photos" / "other" / "a.jpg")
    reading = read([IMAGE | {"file_name": "gone/a.jpg"}], folder="photos")
    assert [problem.rule.name for problem in reading.problems] == ["image-missing"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"annotations": [LABEL, LABEL | {"id": 2, "bbox": []}]}, "coco-bbox"),
        ({"annotations": [LABEL, LABEL | {"id": 2, "image_id": 9}]}, "label-without-entry"),
        ({"images": [IMAGE, {"id": 2, "file_name": "gone.jpg"}]}, "image-missing"),
        ({"annotations": [LABEL, LABEL | {"id": 2, "category_id": 9}]}, "class-unknown"),
        ({"annotations": [LABEL, {"image_id": 1}]}, "coco-annotation"),
        ({"annotations": [LABEL, LABEL | {"id": 2, "iscrowd": "x"}]}, "crowd-flag"),
        ({"images": [IMAGE, {"id": 2}]}, "coco-image"),
    ],
)
def test_what_cannot_be_understood_is_an_error_and_can_be_dropped(read, changes, rule):
    assert [problem.rule.name for problem in read(**changes).problems] == [rule]
    dropped = read(**changes, rules=["all=drop"])
    assert (dropped.problems, boxes(dropped)) == ([], [[4, 5, 10, 8]])
    assert counted(dropped) == {rule: 1}


def test_texts_that_are_no_numbers_stay_the_ids(read):
    images = [IMAGE | {"id": "one"}, IMAGE | {"id": "007", "file_name": "b.jpg"}]
    labels = [LABEL | {"image_id": "one"}]
    reading = read(images, labels, rules=["image-missing=drop"])
    assert [record["image_id"] for record in reading.records] == ["one"]
    assert boxes(reading) == [[4, 5, 10, 8]]


def test_boxes_of_a_scaled_copy_are_refused_or_scaled(read):
    images, labels = [IMAGE | {"width": 80, "height": 60}], [LABEL | {"bbox": [8, 10, 20, 16]}]
    (problem,) = read(images, labels).problems
    assert problem.rule.name == "image-scaled"
    assert problem.value == "80 wide, 60 high; the image is 40 and 30"
    reading = read(images, labels, rules=["image-scaled=fix"])
    assert boxes(reading) == [[4, 5, 10, 8]]
    labels[0]["segmentation"] = [[2 * value for value in POLYGON]]
    mask = read(images, labels, rules=["image-scaled=fix"]).records[0]["annotations"][0]
    assert mask["segmentation"] == [POLYGON]


def test_boxes_in_the_frame_of_the_unturned_image_are_refused(read, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "photos/deep/a.jpg", exif=exif)
    assert [problem.rule.name for problem in read().problems] == ["image-turned"]


@pytest.mark.parametrize("root", ["parts", "bolt"])
def test_a_root_category_without_labels_is_no_class(read, root):
    categories = [
        {"id": 0, "name": root, "supercategory": "none"},
        {"id": 1, "name": "bolt", "supercategory": root},
    ]
    reading = read(categories=categories)
    assert (reading.problems, reading.class_names) == ([], ["bolt"])
    assert counted(reading) == {"category-root": 1}
    used = read(annotations=[LABEL, LABEL | {"id": 2, "category_id": 0}], categories=categories)
    assert bool(used.problems) == (root == "bolt")
    assert len(used.class_names) == (1 if root == "bolt" else 2)


def test_a_category_that_is_its_own_category_stays_a_class(read):
    person = {"id": 1, "name": "person", "supercategory": "person"}
    other = {"id": 2, "name": "child", "supercategory": "person"}
    assert read(annotations=(), categories=[person, other]).class_names == ["person", "child"]


def test_images_and_categories_named_twice_can_be_merged(read):
    images = [IMAGE, IMAGE | {"id": 2}]
    labels = [LABEL, LABEL | {"id": 2, "image_id": 2, "category_id": 2, "bbox": [1, 1, 5, 5]}]
    categories = [BOLT, BOLT | {"id": 2}]
    found = read(images, labels, categories)
    assert {problem.rule.name for problem in found.problems} >= {"image-twice", "category-twice"}
    merged = read(images, labels, categories, rules=["image-twice=fix", "category-twice=fix"])
    assert (merged.problems, merged.class_names) == ([], ["bolt"])
    assert boxes(merged) == [[4, 5, 10, 8], [1, 1, 5, 5]]
    assert len(merged.records) == 1


def test_an_area_does_not_outlive_the_box_that_was_clipped(read):
    (label,) = read(annotations=[LABEL | {"bbox": [-4, 5, 10, 8], "area": 80}]).records[0][
        "annotations"
    ]
    assert label["bbox"] == [0, 5, 6, 8]
    assert "area" not in label


def test_a_missing_list_of_annotations_is_an_empty_one(read, tmp_path):
    read()
    content = {"images": [IMAGE], "annotations": None, "categories": [BOLT]}
    (tmp_path / "l.json").write_text(json.dumps(content))
    spec = DatasetSpec("d", "coco", str(tmp_path / "l.json"), str(tmp_path / "photos/deep"))
    reading = read_coco(spec)
    assert (reading.problems, boxes(reading), len(reading.records)) == ([], [], 1)
