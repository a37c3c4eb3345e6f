"""Each rule is broken once, and all problems are reported at once."""

import json
from pathlib import Path

import PIL.Image
import pytest

from smallobj.data.datasets import DatasetError, DatasetSpec, Problem
from smallobj.data.labels.coco_json.coco import read_coco
from smallobj.data.labels.public_sets.challenge import read_challenge
from smallobj.data.labels.rules import INSIDE_BOX, OUTSIDE_BOX, Rule, broken_box_rule, clip_box
from smallobj.data.labels.yolo_txt.yolo import read_yolo
from smallobj.data.labels.yolo_txt.yolo_lines import LINE_RULE


def make_image(path: Path, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (width, height)).save(path)


def seen(problems) -> dict[str, tuple[str, str]]:
    """Rule and value by entry; fails if two problems have the same entry."""
    found = {problem.entry: (str(problem.rule), problem.value) for problem in problems}
    assert len(found) == len(problems), [str(problem) for problem in problems]
    return found


def dropped(problem: Problem) -> str:
    """What dropping would leave out."""
    return problem.rule.dropped if isinstance(problem.rule, Rule) else ""


def challenge(tmp_path, text: str):
    (tmp_path / "label").write_text(text)
    return read_challenge(
        DatasetSpec("d", "challenge", str(tmp_path / "label"), str(tmp_path / "data"))
    )


def test_challenge_reports_all_at_once(tmp_path):
    for name in ("0.jpg", "1.jpg"):
        make_image(tmp_path / "data" / name)
    (tmp_path / "data/broken.jpg").write_text("no image")
    reading = challenge(
        tmp_path,
        """{
        "0.jpg": [[0, 1, 1, 5, 5], [30, 1, 1, 5, 5], [1.5, 1, 1, 5, 5], [0, 36.5, 1, 5, 5],
                  [0, 1, 1, 0, 5], [0, 1, 1, 5, -2], [0, NaN, 1, 5, 5], [0, 1, 1, 1e999, 5],
                  [0, 1, 1, 5], [0, "1", 1, 5, 5], {"x": 1}, [true, 1, 1, 5, 5]],
        "1.jpg": {"boxes": []},
        "gone.jpg": [],
        "broken.jpg": [],
        "1.jpg": {"boxes": []}
        }""",
    )
    found = seen(reading.problems)
    assert {entry: rule for entry, (rule, _) in found.items()} == {
        "key '1.jpg'": "a JSON key may occur once in an object",
        "0.jpg[1]": "the class must be a known one",
        "0.jpg[2]": "the class must be a known one",
        "0.jpg[4]": "a box must have positive width and height",
        "0.jpg[5]": "a box must have positive width and height",
        "0.jpg[6]": "a box must consist of finite numbers",
        "0.jpg[7]": "a box must consist of finite numbers",
        "0.jpg[8]": "a box must be a list of five numbers, class, x, y, w, h",
        "0.jpg[9]": "a box must be a list of five numbers, class, x, y, w, h",
        "0.jpg[10]": "a box must be a list of five numbers, class, x, y, w, h",
        "0.jpg[11]": "a box must be a list of five numbers, class, x, y, w, h",
        "1.jpg": "an image must have a list of boxes",
        "gone.jpg": "the image file must exist",
        "image header": "the image file must be readable",
    }
    assert found["0.jpg[1]"][1] == "30; known are 0 to 29"
    assert "[36.5, 1.0, 5.0, 5.0] in an image 40 wide and 30 high" in reading.changes.lines()[0]
    assert found["key '1.jpg'"][1] == "it 2 times"
    assert [p.entry for p in reading.problems if dropped(p) == "box"] == [
        f"0.jpg[{i}]" for i in (1, 2, *range(4, 12))
    ]
    broken = next(p for p in reading.problems if p.entry == "image header")
    assert broken.file == str(tmp_path / "data/broken.jpg")


@pytest.mark.parametrize(
    ("text", "entry", "rule", "value"),
    [
        ('{"0.jpg": [[0, 1,', "line 1, column 18", "valid JSON", "Expecting value"),
        ("[1]", "whole file", "must be a JSON object", "[1]"),
        ("null", "whole file", "an object or a list", "null"),
        ("[" * 100_000, "whole file", "valid JSON", "recursion"),
    ],
)
def test_broken_json_has_a_place(tmp_path, text, entry, rule, value):
    make_image(tmp_path / "data/0.jpg")
    (problem,) = challenge(tmp_path, text).problems
    assert problem.file == str(tmp_path / "label")
    assert problem.entry == entry
    assert rule in str(problem.rule)
    assert value in problem.value


def test_a_label_file_that_is_not_text(tmp_path):
    make_image(tmp_path / "data/0.jpg")
    (tmp_path / "label").write_bytes(b'{"\xff\xfe": []}')
    spec = DatasetSpec("d", "challenge", str(tmp_path / "label"), str(tmp_path / "data"))
    (problem,) = read_challenge(spec).problems
    assert problem.rule == "the file must be readable"


def test_one_image_under_two_names(tmp_path):
    make_image(tmp_path / "data/0.jpg")
    reading = challenge(tmp_path, '{"0.jpg": [], "./0.jpg": []}')
    (problem,) = reading.problems
    assert problem.rule == "an image may be labelled once"


def test_names_that_no_file_can_have_are_reported_and_printable(tmp_path):
    make_image(tmp_path / "data/0.jpg")
    names = ["\ud800.jpg", "\0.jpg", "9" * 5000]
    reading = challenge(tmp_path, json.dumps({name: [] for name in names}))
    assert len(reading.problems) == 3
    assert "\\ud800.jpg" in str(DatasetError(reading.problems)).encode("utf-8").decode()


def test_missing_label_file_and_folder_are_both_reported(tmp_path):
    files = (str(tmp_path / "no_label"), str(tmp_path / "no_folder"))
    for reader, format_name in ((read_challenge, "challenge"), (read_coco, "coco")):
        problems = reader(DatasetSpec("d", format_name, *files)).problems
        assert [(p.file, p.value) for p in problems] == [
            (files[0], "no such file"),
            (files[1], "no such folder"),
        ]


def coco(tmp_path, content):
    (tmp_path / "a.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return read_coco(DatasetSpec("d", "coco", str(tmp_path / "a.json"), str(tmp_path / "data")))


def test_coco_reports_all_at_once(tmp_path):
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        make_image(tmp_path / "data" / name)
    good = {"image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5]}
    reading = coco(
        tmp_path,
        {
            "images": [
                {"id": 0, "file_name": "0.jpg", "width": 40, "height": 30},
                {"id": 0, "file_name": "1.jpg"},
                {"id": 1, "file_name": "0.jpg"},
                {"id": 2, "file_name": "2.jpg", "width": 30, "height": 40},
                {"id": 3, "file_name": "gone.jpg"},
                {"id": "4", "file_name": "0.jpg"},
                "0.jpg",
            ],
            "categories": [
                {"id": 1, "name": "bolt"},
                {"id": 2, "name": "bolt"},
                {"id": 3},
                {"id": 4, "name": "nut"},
            ],
            "annotations": [
                {**good, "id": 1},
                {**good, "id": 1},
                {**good, "image_id": 99},
                {**good, "category_id": 99},
                {**good, "bbox": [1, 1, 5]},
                {**good, "bbox": [1, 1, 5, 0]},
                {**good, "bbox": [-2, 1, 5, 5]},
                {**good, "bbox": [float("nan"), 1, 5, 5]},
                {**good, "iscrowd": "no"},
                {"category_id": 1},
                [1],
                {**good, "image_id": 3},  # gone.jpg has already been reported
            ],
        },
    )
    rules = {entry: rule for entry, (rule, _) in seen(reading.problems).items()}
    assert rules == {
        "categories[1]": "a category's name may occur once",
        "categories[2]": "a category must be an object with an id and a name",
        "images[1] (1.jpg)": "an image's id may occur once",
        "images[2] (0.jpg)": "an image may be listed once",
        "images[4] (gone.jpg)": "the image file must exist",
        "images[5] (0.jpg)": "an image may be listed once",
        "images[6]": "an image must be an object with an id and a file_name, a string",
        "annotations[2]": "image_id must be the id of an image",
        "annotations[3]": "the class must be a known one",
        "annotations[4]": "bbox must be a list of four numbers, x, y, w, h",
        "annotations[5]": "a box must have positive width and height",
        "annotations[7]": "a box must consist of finite numbers",
        "annotations[8]": "iscrowd must be 0 or 1",
        "annotations[9]": "an annotation must be an object with image_id and category_id",
        "annotations[10]": "an annotation must be an object with image_id and category_id",
    }
    assert [p.entry for p in reading.problems if dropped(p) == "box"] == [
        f"annotations[{i}]" for i in (2, 3, 4, 5, 7, 8, 9, 10)
    ]


def test_coco_duplicate_key_names_the_object(tmp_path):
    make_image(tmp_path / "data/0.jpg")
    reading = coco(
        tmp_path,
        '{"images": [{"id": 5, "file_name": "0.jpg"}], "categories": [{"id": 1, "name": "a"}], '
        '"annotations": [{"id": 12, "image_id": 5, "category_id": 1, "bbox": [1, 1, 2, 2], '
        '"bbox": [1, 1, 3, 3]}]}',
    )
    (problem,) = reading.problems
    assert problem.entry == "key 'bbox' of the object with id 12"
    assert problem.rule == "a JSON key may occur once in an object"


@pytest.mark.parametrize("content", [[], {"images": []}, {"images": {}, "categories": []}])
def test_coco_of_another_shape(tmp_path, content):
    (tmp_path / "data").mkdir()
    problems = coco(tmp_path, content).problems
    assert problems
    assert all("JSON object with the lists" in str(problem.rule) for problem in problems)


def test_yolo_reports_all_at_once(tmp_path):
    make_image(tmp_path / "data/a.jpg")
    make_image(tmp_path / "data/b.jpg")
    make_image(tmp_path / "data/b.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(
        "0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2\n0 0.5 0.5 0.2 0.2 0.9\n0 0.5 a 0.2 0.2\n"
        "0 20 15 4 4\n2 0.5 0.5 0.2 0.2\n0 0.5 0.5 0 0.2\n0 0.05 0.5 0.2 0.2\n"
        "0 nan 0.5 0.2 0.2\n"
    )
    (tmp_path / "labels/lonely.txt").write_text("")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    reading = read_yolo(
        DatasetSpec(
            "d",
            "yolo",
            str(tmp_path / "labels"),
            str(tmp_path / "data"),
            str(tmp_path / "names.txt"),
        )
    )
    assert {entry: rule for entry, (rule, _) in seen(reading.problems).items()} == {
        "image file": "a label file must belong to one image",
        "whole file": "a label file must have an image of its name",
        "line 2": str(LINE_RULE),
        "line 3": "a label must have no score",
        "line 4": str(LINE_RULE),
        "line 5": "coordinates must be shares of the image's sides, from 0 to 1",
        "line 6": "the class must be a known one",
        "line 7": "a box must have positive width and height",
        "line 9": "a box must consist of finite numbers",
    }
    assert len(reading.records[0]["annotations"]) == 2
    assert [line.split(":")[:2] for line in reading.changes.lines()] == [
        ["box clipped", " 1 (box-over-edge"]
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", '["cat", null]'),
        ("c.json", '["cat", "cat"]'),
        ("c.json", '{"-1": "cat"}'),
        ("c.json", "[]"),
        ("c.json", '{"names": []}'),
        ("c.yaml", "names: [cat, dog, cat]"),
        ("c.yaml", "names: {0: cat, 0: dog}"),
        ("c.yaml", "names: {0: cat, 1: }"),
        ("c.yaml", "names: {0: cat, x: dog}"),
        ("c.yaml", "names: {0: !!python/object/apply:os.getcwd []}"),
        ("c.yaml", "names: [cat\n"),
        ("c.yaml", "nc: 0"),
        ("c.yaml", ""),
        ("c.txt", ""),
        ("c.txt", "cat\n\ndog"),
        ("c.txt", "4:cat\n4:dog"),
    ],
)
def test_bad_class_files(tmp_path, name, text):
    make_image(tmp_path / "data/a.jpg")
    (tmp_path / name).write_text(text)
    reading = read_yolo(DatasetSpec("d", "yolo", "", str(tmp_path / "data"), str(tmp_path / name)))
    assert [problem.file for problem in reading.problems] == [str(tmp_path / name)]


SIZE = (30, 40)


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((0, 0, 40, 30), [0, 0, 40, 30]),
        ((-1, -1, 5, 5), [0, 0, 4, 4]),
        ((36, 26, 5, 5), [36, 26, 4, 4]),
        ((-0.5, 3, 41.5, 2), [0, 3, 40, 2]),
    ],
)
def test_a_box_one_pixel_beyond_the_edge_is_clipped(box, clipped):
    assert broken_box_rule(box, SIZE) is None
    assert clip_box(box, SIZE) == clipped


@pytest.mark.parametrize(
    ("box", "rule"),
    [
        ((-1.01, 0, 5, 5), INSIDE_BOX),
        ((36, 26, 5, 5.01), INSIDE_BOX),
        ((-2, -2, 8, 8), INSIDE_BOX),
        ((-3, -3, 8, 8), OUTSIDE_BOX),
        ((40, 2, 1, 1), OUTSIDE_BOX),
        ((-1, 2, 1, 1), OUTSIDE_BOX),
    ],
)
def test_a_box_beyond_the_tolerance_is_clipped_up_to_a_share_of_its_area(box, rule):
    assert broken_box_rule(box, SIZE, max_outside=0.5) is rule


def test_without_a_size_the_edge_is_not_checked():
    assert broken_box_rule((100, 100, 5, 5), None) is None
    assert "positive" in str(broken_box_rule((100, 100, 0, 5), None))


def test_a_problem_is_printed_on_one_line():
    problem = Problem("a.json", "0.jpg[2]", "a box must be good", "bad")
    assert str(problem) == "a.json: 0.jpg[2]: a box must be good (got bad)"


def test_the_error_lists_fifty_and_counts_the_rest():
    problems = [Problem("f", str(i), "rule one", "x") for i in range(45)]
    problems += [Problem("f", str(i), INSIDE_BOX, "x") for i in range(45, 60)]
    text = str(DatasetError(problems))
    assert text.count("(got x)") == 50
    assert "... and 10 more" in text
    assert "45  rule one" in text
    assert "15  a box must lie inside its image" in text
    assert "box-over-edge=fix|drop" in text
    assert "more" not in str(DatasetError(problems[:50])).split("DATASETS")[0]
