"""Results as other tools write them are understood, and what may mean two things is refused."""

import json
import logging

import numpy as np
import pytest

from smallobj.data.labels.problems import ResultsError
from smallobj.evaluation.reading.load import GroundTruth, read_detections
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.formats.detections.results_options import ResultsOptions

FILES = ("a.jpg", "007.jpg", "sub/c.d.jpg")
NAMES = ("bolt", "nut", "washer")


@pytest.fixture(autouse=True)
def told(caplog):
    """What is logged."""
    caplog.set_level(logging.WARNING)
    return caplog


def truth(ids=(11, 12, 13), categories=(1, 2, 3), files=FILES) -> GroundTruth:
    """Images of 300 x 200."""
    sizes = np.full((len(files), 2), (200, 300))
    names = list(NAMES[: len(categories)])
    data = EvaluationSet(
        list(ids), list(files), sizes, names, LabelTable.empty(), DetectionTable.empty()
    )
    return GroundTruth(data, {identity: k for k, identity in enumerate(categories)})


def row(image_id, category_id=1, bbox=(100, 60, 24, 24), score=0.5, **more):
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(bbox),
        "score": score,
        **more,
    }


@pytest.fixture
def read(tmp_path):
    """Reads a JSON file of this content."""

    def from_content(content, gt=None, **options):
        path = tmp_path / "found.json"
        path.write_text(json.dumps(content))
        return read_detections(str(path), gt or truth(), ResultsOptions(**options))

    return from_content


def ultralytics(stem, category_id=1):
    """As ``predictions.json`` has it: digits become a number."""
    name = str(stem)
    identity = int(name) if name.isnumeric() else name
    return row(identity, category_id, file_name=f"{name}.jpg")


def test_ultralytics_predictions_go_by_file_name(read, told):
    found = read([ultralytics("a", 1), ultralytics("007", 3), ultralytics("c.d", 2)])
    assert found.images.tolist() == [0, 1, 2]
    assert found.categories.tolist() == [0, 2, 1]
    assert "images are found by name: 'a.jpg' is 'a.jpg'" in told.text


def test_without_file_names_the_names_are_the_ids(read):
    rows = [row("a", 1), row(7, 3), row("sub/c.d", 2)]
    assert read(rows).images.tolist() == [0, 1, 2]
    assert read([row("a.png"), row("007", 3), row("C.D.JPG")]).images.tolist() == [0, 1, 2]


def test_a_number_that_is_the_id_of_another_image(read, told):
    """Ultralytics numbers images by their names; 2.jpg is not the image with the id 2."""
    gt = truth(ids=(2, 1, 3), files=("1.jpg", "2.jpg", "3.jpg"))
    named = [ultralytics(1, 3), ultralytics(2), ultralytics(3)]
    assert read(named, gt).images.tolist() == [0, 1, 2]
    bare = [row(1, 3), row(2), row(3)]
    told.clear()
    found = read(bare, gt)
    assert found.categories.tolist() == [0, 2, 0], "COCO's rule: image_id is an id of the labels"
    assert "--image-ids name" in told.text
    assert read(bare, gt, image_ids="name").categories.tolist() == [2, 0, 0]
    assert read(bare, gt, image_ids="id").categories.tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("ids", "classes"),
    [((0, 2), [0, 2]), ((1, 3), [0, 2]), ((0,), [0]), ((3,), [2])],
)
def test_classes_counted_from_0_or_1_by_what_fits(read, ids, classes, told):
    found = read([ultralytics("a", k) for k in ids], truth(categories=(1, 2, 3)))
    assert found.categories.tolist() == classes
    assert "category_id is taken for" in told.text
    assert f"{ids[0]} is {NAMES[classes[0]]!r}" in told.text


def test_classes_that_may_be_counted_either_way(read):
    rows = [ultralytics("a", 1), ultralytics("a", 2)]
    with pytest.raises(ResultsError, match="category_id must tell a class in one way") as caught:
        read(rows)
    for part in ("1 is 'bolt'", "1 is 'nut'", "from 0", "from 1", "--category-ids"):
        assert part in str(caught.value)
    assert read(rows, category_ids="0").categories.tolist() == [1, 2]
    assert read(rows, category_ids="1").categories.tolist() == [0, 1]
    # Labels whose ids have gaps: Ultralytics counts from 1 except for COCO itself.
    gaps = truth(categories=(1, 3, 7))
    assert read([ultralytics("a", k) for k in (1, 7)], gaps).categories.tolist() == [0, 2]
    with pytest.raises(ResultsError, match="in one way"):
        read([ultralytics("a", 1)], gaps)
    assert read([ultralytics("a", 1)], gaps, category_ids="id").categories.tolist() == [0]


def test_the_ids_of_the_labels_come_first(read, told):
    assert read([row(11, 1), row(12, 2)]).categories.tolist() == [0, 1]
    assert not told.text
    assert read([row(11, 0), row(12, 2)]).categories.tolist() == [0, 2]
    assert "the number of a class, from 0 (0 is 'bolt', 2 is 'washer')" in told.text
    with pytest.raises(ResultsError, match=r"a known one \(got 4; known are \[1, 2, 3\]"):
        read([row(11, 1), row(11, 4)])


@pytest.mark.parametrize("identity", [12, "12", 12.0])
def test_ids_as_texts_and_floats(read, identity):
    found = read([row(identity, "2"), row(11, 3.0)])
    assert found.images.tolist() == [0, 1]
    assert found.categories.tolist() == [2, 1]
    assert read([row(12), row("12")], truth(ids=("11", "12", "13"))).images.tolist() == [1, 1]


ROWS = [row(11), row(12, 2)]


@pytest.mark.parametrize("name", ["annotations", "predictions", "results", "detections"])
def test_results_in_a_wrapper(read, name):
    for content in ({name: ROWS}, {"info": {}, name: ROWS, "licenses": []}):
        assert read(content).images.tolist() == [0, 1]
    with pytest.raises(ResultsError, match=rf"{name}\[1\]: a score must be a finite number"):
        read({name: [row(11), row(11, score=None)]})


def test_a_wrapper_brings_its_images_and_categories_along(read):
    images = [{"id": 1, "file_name": "photos/007.jpg"}, {"id": 2, "file_name": "a.jpg"}]
    categories = [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}]
    content = {"images": images, "categories": categories, "annotations": [row(1, 1), row(2, 2)]}
    found = read(content)
    assert found.images.tolist() == [0, 1]
    assert found.categories.tolist() == [0, 1]
    categories[1]["name"] = "screw"
    with pytest.raises(ResultsError, match=r"annotations\[1\]: the class must be a known one"):
        read(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"annotations": [{"image_id": 11, "category_id": 1, "bbox": [1, 1, 2, 2]}]}, "not labels"),
        ({"data": ROWS, "version": 2}, "an object with the keys 'data', 'version'"),
        ({"results": [[1, 2, 3, 4, 5, 6]]}, "an object with the key 'results'"),
        ({"predictions": ROWS, "results": ROWS}, "an object with the keys"),
        ({"results": {"bbox": ROWS}}, "an object with the key 'results'"),
    ],
)
def test_other_objects_are_told_as_what_they_are(read, content, told):
    with pytest.raises(ResultsError, match="1 problem") as caught:
        read(content)
    assert told in str(caught.value)


def test_images_beyond_the_labels_are_counted(read, told):
    rows = [row(11), row(99), row(99), row(98)]
    with pytest.raises(ResultsError, match="1 problem") as caught:
        read(rows)
    assert "99 and 1 more; in all 3 results of 2 images that the labels do not have" in str(
        caught.value
    )
    assert "--drop-unknown-images" in str(caught.value)
    assert len(read(rows, drop_unknown_images=True)) == 1
    assert "result dropped: 3 (result-of-unknown-image" in told.text
    challenge = {"a.jpg": [[0, 1, 2, 3, 4, 0.5]], "z.jpg": [[0, 1, 2, 3, 4, 0.5]] * 2}
    with pytest.raises(ResultsError, match=r"'z\.jpg'; in all 2 results of 1 image"):
        read(challenge)
    assert len(read(challenge, drop_unknown_images=True)) == 1


@pytest.mark.parametrize("content", [[], {"predictions": []}, {}, {"images": []}])
def test_an_empty_file_is_said(read, content, told):
    assert len(read(content)) == 0
    assert "there are no detections in it" in told.text


def test_scores_in_percent(read):
    with pytest.raises(ResultsError, match=r"percent \(got scores up to 93; divide them by 100"):
        read([row(11, score=93), row(11, score=0.4)])
    assert len(read([row(11, score=1), row(11, score=0)])) == 2
    assert len(read([row(11, score=93), row(11, score=-4)])) == 2, "not shares, but not percent"


def test_corners_for_sides(read):
    corners = [row(11, bbox=(200, 150, 230, 170)), row(12, bbox=(10, 10, 30, 30))]
    with pytest.raises(ResultsError, match="x, y, width, height") as caught:
        read(corners)
    assert "1 of 2 stick out" in str(caught.value)
    assert "[200.0, 150.0, 230.0, 170.0] of one 300 wide and 200 high" in str(caught.value)
    sides = [row(11, bbox=(280, 150, 30, 20)), row(12, bbox=(10, 10, 30, 30))]
    assert len(read(sides)) == 2, "a box over the border is no proof"


@pytest.fixture
def txt(tmp_path):
    """Writes YOLO files and reads them."""

    def from_lines(gt=None, classes="", **files):
        folder = tmp_path / "labels"
        for name, text in files.items():
            path = folder / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        options = ResultsOptions(classes=classes)
        return read_detections(str(folder), gt or truth(), options)

    return from_lines


LINE = "1 0.5 0.25 0.1 0.2 0.9\n"


def test_yolo_results_need_neither_images_nor_names(txt, told):
    found = txt(a=LINE, **{"sub/c.d": "2 0.05 0.1 0.1 0.1 0.25\n\n", "007": ""})
    assert found.images.tolist() == [0, 2]
    assert found.categories.tolist() == [1, 2]
    assert found.scores.tolist() == [0.9, 0.25]
    np.testing.assert_allclose(found.boxes, [[135, 30, 165, 70], [0, 10, 30, 30]], atol=1e-9)
    assert "0 is 'bolt', 1 is 'nut', 2 is 'washer'" in told.text


def test_yolo_results_with_names_of_their_own(txt, tmp_path, told):
    (tmp_path / "data.yaml").write_text("names: {0: washer, 1: bolt}\n")
    assert txt(classes=str(tmp_path / "data.yaml"), a=LINE).categories.tolist() == [0]
    assert not told.text
    (tmp_path / "labels/classes.txt").write_text("washer\nnut\n")
    assert txt(a=LINE).categories.tolist() == [1]
    (tmp_path / "labels/classes.txt").write_text("washer\nscrew\n")
    with pytest.raises(ResultsError, match=r"a\.txt: line 1: .*got 'screw'; known are \['bolt'"):
        txt(a=LINE)


def test_yolo_segments_are_read_as_their_boxes(txt, told):
    found = txt(a="0 0.1 0.2 0.3 0.2 0.2 0.6 0.5\n")
    np.testing.assert_allclose(found.boxes, [[30, 40, 90, 120]], atol=1e-9)
    assert found.scores.tolist() == [0.5]
    assert "1 segment read as the boxes around them" in told.text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 0.5 0.5 0.1 0.1", "save_conf=True"),
        ("0 0.1 0.2 0.3 0.2 0.2 0.6 0.1 0.4", "save_conf=True"),
        ("0 0.5 0.5 0.1 0.1 93", "a score from 0 to 1"),
        ("0 0.5 0.5 0.1 0.1 nan", "a score from 0 to 1"),
        ("0 0.5 0.5 0.1", "a line must hold class cx cy w h score"),
        ("0 0.5 0.5 0.1 0.1 0.9 4", "a line must hold class cx cy w h score"),
        ("bolt 0.5 0.5 0.1 0.1 0.9", "a line must hold class cx cy w h score"),
        ("0 150 100 20 20 0.9", "shares of the image's sides"),
        ("3 0.5 0.5 0.1 0.1 0.9", "known one (got 3; known are ['bolt', 'nut', 'washer'])"),
        ("0.5 0.5 0.5 0.1 0.1 0.9", "known one (got 0.5"),
        ("0 0.5 0.5 -0.1 0.1 0.9", "no negative side"),
        ("0 -inf 0.5 0.1 0.1 0.9", "finite coordinates"),
    ],
)
def test_wrong_yolo_lines(txt, line, told):
    with pytest.raises(ResultsError, match=r"a\.txt: line 2") as caught:
        txt(a=LINE + line)
    assert told in str(caught.value)
    assert "1 problem in" in str(caught.value)


def test_yolo_files_of_unknown_images(txt):
    with pytest.raises(ResultsError, match="'z'; in all 2 results of 1 image"):
        txt(z=LINE * 2)
