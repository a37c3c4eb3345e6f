"""Results files: three kinds read alike, and whatever is wrong with them named."""

import json
import pickle

import numpy as np
import pytest

from smallobj.data.labels.problems import ResultsError
from smallobj.evaluation.reading import results_file
from smallobj.evaluation.reading.results_file import read_results
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.formats.detections import result_matching


@pytest.fixture
def data():
    """Three images, ids 5, 7 and 9, of 200 x 100; classes coin and nut."""
    none = np.zeros(0)
    boxes = np.zeros((0, 4))
    kinds = np.zeros(0, np.int64)
    labels = LabelTable(kinds, kinds, boxes, none, none.astype(bool))
    found = DetectionTable(kinds, kinds, boxes, none)
    files = ["/data/photos/a.jpg", "/data/photos/b.jpg", "/data/photos/more/a.jpg"]
    sizes = np.full((3, 2), (100, 200))
    return EvaluationSet([5, 7, 9], files, sizes, ["coin", "nut"], labels, found)


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        path = tmp_path / "found.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return to_file


def result(image_id=5, category_id=1, bbox=(1, 2, 3, 4), score=0.5):
    bbox = list(bbox) if isinstance(bbox, tuple) else bbox
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}


def own(*images, classes=("coin", "nut")):
    entries = [
        {"file": file, "width": 200, "height": 100, "detections": detections}
        for file, detections in images
    ]
    return {"images": entries, "classes": list(classes)}


def detection(class_id=1, box=(1, 2, 4, 6), score=0.5):
    return {"class": "?", "class_id": class_id, "score": score, "box": list(box)}


def lines(tmp_path, *rows):
    path = tmp_path / "detections.jsonl"
    path.write_text(
        "".join(row if isinstance(row, str) else f"{json.dumps(row)}\n" for row in rows)
    )
    return str(path)


def image_of(file, *detections):
    return {"index": 0, **own((file, list(detections)))["images"][0]}


def test_lines_of_a_bulk_run_are_read_by_the_names_of_their_classes(data, tmp_path):
    rows = (
        image_of("b.jpg", {**detection(0), "class": "nut"}, {**detection(1), "class": "coin"}),
        {"index": 1, "file": "broken.jpg", "error": "it does not read"},
        image_of("/data/photos/a.jpg", {**detection(0, score=0.25), "class": "nut"}),
    )
    found = read_results(lines(tmp_path, *rows), data)
    assert found.images.tolist() == [0, 1, 1]
    assert found.categories.tolist() == [1, 1, 0]
    assert found.scores.tolist() == [0.25, 0.5, 0.5]
    assert len(read_results(lines(tmp_path), data)) == 0


def test_a_class_id_beyond_reason_costs_no_memory(data, tmp_path):
    odd = {**detection(10**12), "class": "nut"}
    assert read_results(lines(tmp_path, image_of("b.jpg", odd)), data).categories.tolist() == [1]


def test_wrong_lines_are_told_by_number(data, tmp_path):
    good = image_of("b.jpg", {**detection(), "class": "nut"})
    assert problems(lines(tmp_path, good, '{"file": \n', good), data)[0][0] == "line 2, column 10"
    unknown = image_of("b.jpg", {**detection(), "class": "bolt"})
    ((entry, rule, value),) = problems(lines(tmp_path, unknown), data)
    assert (entry, rule) == ("images[0].detections[0]", str(results_file.KNOWN_CLASS))
    assert value.startswith("1")


def problems(path, data, ids=None):
    with pytest.raises(ResultsError) as caught:
        read_results(path, data, ids)
    return [(one.entry, str(one.rule), one.value) for one in caught.value.problems]


def test_three_kinds_say_the_same(data, write):
    coco = [result(9, 30), result(5, 20, (0, 0, 8, 9), 1), result(9, 30, (5, 5, 5.5, 5), 0.25)]
    mine = own(
        ("elsewhere/more/a.jpg", [detection(), detection(1, (5, 5, 10.5, 10), 0.25)]),
        ("a.jpg", [detection(0, (0, 0, 8, 9), 1)]),
        ("b.jpg", []),
    )
    challenge = {
        "more/a.jpg": [[1, 1, 2, 3, 4, 0.5], [1.0, 5, 5, 5.5, 5, 0.25]],
        "a.jpg": [[0, 0, 0, 8, 9, 1]],
    }
    for content, ids in ((coco, {20: 0, 30: 1}), (mine, None), (challenge, None)):
        found = read_results(write(content), data, ids)
        assert found.images.tolist() == [0, 2, 2]
        assert found.categories.tolist() == [0, 1, 1]
        assert found.scores.tolist() == [1, 0.5, 0.25]
        assert found.boxes.tolist() == [[0, 0, 8, 9], [1, 2, 4, 6], [5, 5, 10.5, 10]]
        assert found.boxes.dtype == found.scores.dtype == np.float64


@pytest.mark.parametrize("content", [[], {}, {"images": []}, {"a.jpg": [], "b.jpg": []}])
def test_nothing_found(data, write, content):
    found = read_results(write(content), data)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_classes_go_by_name(data, write):
    """The model may know the classes in another order, and more of them."""
    content = own(("b.jpg", [detection(0), detection(2)]), classes=("nut", "bolt", "coin"))
    assert read_results(write(content), data).categories.tolist() == [1, 0]
    content = own(("b.jpg", [detection(1)]), classes=("nut", "bolt", "coin"))
    assert problems(write(content), data) == [
        ("images[0].detections[0]", "the class must be a known one", "1; known are [0, 2]")
    ]


def test_any_finite_score_and_empty_boxes(data, write):
    rows = [result(score=87.5), result(score=-3), result(bbox=(190, 2, 30, 0))]
    found = read_results(write(rows), data)
    assert found.scores.tolist() == [87.5, -3, 0.5]
    assert found.boxes[2].tolist() == [190, 2, 220, 2]


NEGATIVE = "a box must not have negative width or height"
FINITE = "a box must consist of finite numbers"
FOUR = "a box must be a list of four numbers"
SCORE = "a score must be a finite number"
KNOWN = "the class must be a known one"
FIELDS = "a result must be an object with image_id, category_id, bbox and score"


@pytest.mark.parametrize(
    ("row", "rule", "value"),
    [
        (result(image_id=6), "the image must be one of the data set", "6"),
        (result(image_id="c"), "the image must be one of the data set", "'c'"),
        (result(image_id=[5]), "image_id must be a number or a text", "[5]"),
        (result(image_id=True), "image_id must be a number or a text", "True"),
        (result(category_id=5), KNOWN, "5; known are [0, 1]"),
        (result(category_id=-1), KNOWN, "-1; known are [0, 1]"),
        (result(category_id=0.5), KNOWN, "0.5; known are [0, 1]"),
        (result(category_id="nut"), KNOWN, "'nut'; known are [0, 1]"),
        (result(category_id=True), KNOWN, "True; known are [0, 1]"),
        (result(category_id=None), KNOWN, "None; known are [0, 1]"),
        (result(category_id=float("nan")), KNOWN, "nan; known are [0, 1]"),
        (result(category_id={}), KNOWN, "{}; known are [0, 1]"),
        (result(score=float("nan")), SCORE, "nan"),
        (result(score=float("inf")), SCORE, "inf"),
        (result(score="0.5"), SCORE, "'0.5'"),
        (result(score=None), SCORE, "None"),
        (result(score=True), SCORE, "True"),
        (result(score=10**400), SCORE, "1000"),
        (result(bbox=(1, 2, -3, 4)), NEGATIVE, "[1, 2, -3, 4]"),
        (result(bbox=(1, 2, 3, -0.1)), NEGATIVE, "[1, 2, 3, -0.1]"),
        (result(bbox=(1, float("nan"), 3, 4)), FINITE, "[1, nan, 3, 4]"),
        (result(bbox=(float("-inf"), 2, 3, 4)), FINITE, "[-inf, 2, 3, 4]"),
        (result(bbox=(1e308, 2, 1e308, 4)), FINITE, "[1e+308, 2, 1e+308, 4]"),
        (result(bbox=(1, 2, 3)), FOUR, "[1, 2, 3]"),
        (result(bbox=(1, 2, 3, "4")), FOUR, "[1, 2, 3, '4']"),
        (result(bbox=(1, 2, 3, None)), FOUR, "[1, 2, 3, None]"),
        (result(bbox=[[1], [2], [3], [4]]), FOUR, "[[1], [2], [3], [4]]"),
        (result(bbox=None), FOUR, "None"),
        (result(bbox="1234"), FOUR, "'1234'"),
        ({"image_id": 5, "bbox": [1, 2, 3, 4], "score": 1}, FIELDS, "{'image_id': 5"),
        (7, FIELDS, "7"),
        (None, FIELDS, "None"),
        ([1, 2], FIELDS, "[1, 2]"),
    ],
)
def test_one_bad_coco_result_among_good_ones(data, write, row, rule, value):
    found = problems(write([result(), row, result()]), data)
    assert [one[:2] for one in found] == [("[1]", rule)]
    assert found[0][2].startswith(value)


def test_all_problems_at_once_with_file_and_entry(data, write):
    rows = [
        result(),
        result(image_id=1, score=float("nan")),
        7,
        result(category_id=8, bbox=(0, 0, -1, 1), score=float("inf")),
    ]
    path = write(rows)
    with pytest.raises(ResultsError, match="5 problems in the results") as caught:
        read_results(path, data)
    # Unknown images are counted before they are told of, once.
    entries = [one.entry for one in caught.value.problems]
    assert entries == ["[2]", "[1]", "[3]", "[3]", "[3]"]
    assert f"{path}: [3]: {SCORE} (got inf)" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is ResultsError
    assert str(again) == str(caught.value)


@pytest.mark.parametrize(
    ("content", "entry", "rule"),
    [
        (own(("c.jpg", [])), "images[0] (c.jpg)", "the image must be one of the data set"),
        (own(("a.jpg", []), ("photos/a.jpg", [])), "images[1] (photos/a.jpg)", "may occur once"),
        (own((7, [])), "images[0]", "an image must be an object with a text file"),
        (own(("a.jpg", None)), "images[0]", "an image must be an object with a text file"),
        ({"images": [3]}, "images[0]", "an image must be an object with a text file"),
        (own(("a.jpg", [4])), "images[0].detections[0]", "an object with class_id, box and score"),
        (own(("a.jpg", [detection(), detection(9)])), "images[0].detections[1]", KNOWN),
        (own(("a.jpg", [detection(box=(5, 5, 4, 9))])), "images[0].detections[0]", NEGATIVE),
        (own(("a.jpg", [detection(box=(5, 5, 4))])), "images[0].detections[0]", FOUR),
        (own(classes=("coin", 3)), "classes", "classes must be a list of texts"),
        ({"images": 3}, "whole file", "a results file must be a JSON list of COCO results"),
        ("7", "whole file", "a results file must be a JSON list of COCO results"),
        ('"text"', "whole file", "a results file must be a JSON list of COCO results"),
        ({"images": [], "annotations": []}, "whole file", "must hold detections, not labels"),
        ({"c.jpg": []}, "c.jpg", "the image must be one of the data set"),
        ({"a.jpg": {}}, "a.jpg", "an image must have a list of detections"),
        ({"a.jpg": [[0, 1, 2, 3, 4]]}, "a.jpg[0]", "six numbers"),
        ({"a.jpg": [[0, 1, 2, 3, 4, 1], 5]}, "a.jpg[1]", "six numbers"),
        ({"a.jpg": [[0, 1, 2, 3, 4, 1], [2, 1, 2, 3, 4, 1]]}, "a.jpg[1]", KNOWN),
        ({"a.jpg": [[0, 1, 2, -3, 4, 1]]}, "a.jpg[0]", NEGATIVE),
        ({"a.jpg": [[0, 1, 2, 3, 4, float("nan")]]}, "a.jpg[0]", SCORE),
        ({"a.jpg": [], "photos/a.jpg": []}, "photos/a.jpg", "an image may occur once"),
        ('{"a.jpg": [], "a.jpg": []}', "key 'a.jpg'", "may occur once in an object"),
        ("[{", "line 1, column 3", "the file must be valid JSON"),
        ("", "line 1, column 1", "the file must be valid JSON"),
        ("null", "whole file", "the file must hold an object or a list"),
    ],
)
def test_bad_files(data, write, content, entry, rule):
    found = problems(write(content), data)
    assert len(found) == 1
    assert found[0][0] == entry
    assert rule in found[0][1]


def test_another_size_means_other_pixels(data, write):
    content = own(("b.jpg", [detection()]))
    content["images"][0]["width"] = 400
    assert problems(write(content), data) == [
        (
            "images[0] (b.jpg)",
            "width and height must be those of the image in the data set",
            "400 wide, 100 high; the image is 200 and 100",
        )
    ]


def test_a_file_cut_anywhere_is_an_error(data, write):
    whole = json.dumps([result(), result()])
    for end in range(len(whole)):
        with pytest.raises(ResultsError, match="valid JSON"):
            read_results(write(whole[:end]), data)


def test_no_file(data, tmp_path):
    assert problems(str(tmp_path / "none.json"), data)[0][1] == "the file must exist"


def test_fast_and_slow_checks_agree(data, write):
    """Whichever entry is spoiled, exactly that one is named."""
    rng = np.random.default_rng(0)
    rows = [
        result(int(rng.choice([5, 7, 9])), int(rng.integers(2)), tuple(rng.random(4)), rng.random())
        for _ in range(300)
    ]
    assert len(read_results(write(rows), data)) == 300
    for at in (0, 150, 299):
        for key, value in (("score", float("inf")), ("bbox", [1, 1, -1, 1]), ("category_id", 5)):
            spoiled = [dict(row) for row in rows]
            spoiled[at][key] = value
            assert [one[0] for one in problems(write(spoiled), data)] == [f"[{at}]"]


@pytest.mark.parametrize("kind", ["coco", "own", "challenge"])
def test_good_files_are_not_checked_one_by_one(data, write, kind, monkeypatch):
    monkeypatch.setattr(results_file, "_report_each", None)
    monkeypatch.setattr(result_matching, "as_id", None)
    content = {
        "coco": [result()] * 50,
        "own": own(("b.jpg", [detection()] * 50)),
        "challenge": {"b.jpg": [[0, 1, 2, 3, 4, 1]] * 50},
    }[kind]
    assert len(read_results(write(content), data)) == 50
