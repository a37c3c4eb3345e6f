"""What results files tell of themselves, and merging them."""

import json

import numpy as np
import pytest

from smallobj import get_cfg
from smallobj.data.labels.problems import ResultsError
from smallobj.evaluation.reading.results_file import read_results
from smallobj.evaluation.results_ensemble import describe_files, merge_tables
from smallobj.merging import build_model_merger

COCO_A = [
    {"image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 10], "score": 0.8},
    {"image_id": "x", "category_id": 90, "bbox": [5, 5, 10, 10], "score": 0.6},
]
COCO_B = [
    {"image_id": 7, "category_id": 3, "bbox": [1, 0, 10, 10], "score": 0.4},
    {"image_id": 2, "category_id": 3, "bbox": [0, 0, 4, 4], "score": 0.5},
]


def own(classes, **images):
    entries = [
        {
            "file": name.replace("__", "/") + ".jpg",
            "width": 100,
            "height": 50,
            "detections": [{"class_id": c, "score": s, "box": b} for c, s, b in rows],
        }
        for name, rows in images.items()
    ]
    return {"images": entries, **({"classes": classes} if classes else {})}


@pytest.fixture
def write(tmp_path):
    def make(*contents):
        paths = []
        for number, content in enumerate(contents):
            paths.append(str(tmp_path / f"{number}.json"))
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{number}.json").write_text(text)
        return paths

    return make


def merged(paths, most=100):
    told = describe_files(paths)
    tables = [read_results(path, told.data, told.category_ids) for path in paths]
    table = merge_tables(told.data, tables, build_model_merger(get_cfg(), len(paths)), most)
    return told, [found for _, found in told.data.with_detections(table).by_image()]


def test_coco_results_by_hand(write):
    told, found = merged(write(COCO_A, COCO_B))
    assert told.kind == told.first_kind == "coco"
    assert told.data.image_ids == [7, "x", 2]
    assert told.category_ids == {3: 0, 90: 1}
    # Both models see the first object: (0.8 + 0.4) / 2, 0.4 / 1.2 of a pixel to the right.
    assert found[0].scores.tolist() == pytest.approx([0.6])
    assert found[0].boxes[0].tolist() == pytest.approx([1 / 3, 0, 10 + 1 / 3, 10])
    # One of two sees the others.
    assert [one.scores.tolist() for one in found[1:]] == [[0.3], [0.25]]
    assert [one.categories.tolist() for one in found] == [[0], [1], [0]]


def test_own_results_join_by_file_and_by_class_name(write):
    a = own(["bolt", "nut"], a__1=[(0, 0.8, [0, 0, 10, 10])], a__2=[])
    b = own(["nut", "bolt"], a__2=[(0, 0.5, [9, 9, 20, 20])], a__1=[(1, 0.8, [0, 0, 10, 10])])
    told, found = merged(write(a, b))
    assert told.kind == "own"
    assert told.data.file_names == ["a/1.jpg", "a/2.jpg"]
    assert told.data.sizes.tolist() == [[50, 100]] * 2
    assert told.data.class_names == ["bolt", "nut"]
    assert [one.scores.tolist() for one in found] == [pytest.approx([0.8]), [0.25]]
    assert [one.categories.tolist() for one in found] == [[0], [1]]


def test_own_results_without_class_names(write):
    a = own(None, a=[(4, 0.8, [0, 0, 10, 10])])
    told, found = merged(write(a, a))
    assert told.data.class_names == ["0", "1", "2", "3", "4"]
    assert found[0].categories.tolist() == [4]


def test_the_challenges_results(write):
    a = {"0.jpg": [[2, 0, 0, 10, 10, 0.8]], "2.jpg": []}
    b = {"0.jpg": [[2, 0, 0, 10, 10, 0.6], [1, 0, 0, 10, 10, 0.2]], "12.jpg": []}
    told, found = merged(write(a, b))
    assert told.kind == "challenge"
    assert told.data.file_names == ["0.jpg", "2.jpg", "12.jpg"]
    assert found[0].scores.tolist() == pytest.approx([0.7, 0.1])
    assert found[0].categories.tolist() == [2, 1]
    assert [len(one.scores) for one in found] == [2, 0, 0]


def test_the_cap_keeps_the_best_of_an_image(write):
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [20 * n, 0, 10, 10], "score": n / 10}
        for n in range(1, 8)
    ]
    _, found = merged(write(rows, rows), most=3)
    assert found[0].scores.tolist() == pytest.approx([0.7, 0.6, 0.5])


def test_images_in_any_order(write):
    rng = np.random.default_rng(0)
    rows = [
        {"image_id": int(k), "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.1 + k / 100}
        for k in rng.permutation(20)
    ]
    told, found = merged(write(rows, rows[::-1]))
    for image_id, one in zip(told.data.image_ids, found, strict=True):
        assert one.scores.tolist() == pytest.approx([0.1 + image_id / 100])


def test_kinds_that_differ_have_no_common_kind(write):
    told = describe_files(write(COCO_A, {"0.jpg": []}))
    assert (told.kind, told.first_kind) == (None, "coco")


def test_classes_that_differ_name_both_files(write):
    paths = write(own(["bolt", "nut"], a=[]), own(["bolt", "nail"], a=[]))
    with pytest.raises(ValueError, match=rf"{paths[0]} and {paths[1]} do not share nail, nut"):
        describe_files(paths)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no JSON", "JSON"),
        ({"images": [], "annotations": []}, "must hold detections, not labels"),
        ({"images": 3}, "a results file must be"),
        ([{"image_id": 1}], "a result must be an object"),
        ({"0.jpg": [[0, 1, 2]]}, "a list of six numbers"),
        ({"0.jpg": [[10**9, 0, 0, 1, 1, 0.5]]}, "class"),
        ({"images": [3]}, "an image must be an object"),
        ({"images": [], "classes": ["bolt", ["nut"]]}, "classes must be a list of texts"),
        ({"images": [{"file": "a", "detections": [3]}]}, "a detection must be an object"),
    ],
)
def test_bad_files_are_told_as_ever(write, content, told):
    with pytest.raises(ResultsError, match=told):
        merged(write(content, content))
