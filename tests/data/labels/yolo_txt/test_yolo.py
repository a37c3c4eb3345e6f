"""YOLO's label lines: boxes, polygons, oriented boxes and keypoints, as tools write them."""

import PIL.Image
import pytest

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.yolo_txt.yolo import read_yolo


def read(tmp_path, label: str | bytes, *, classes="names: [bolt, nut]", rules=(), scores=False):
    """A data set of one image, 100 wide and 200 high, with this label file."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir(exist_ok=True)
    PIL.Image.new("RGB", (100, 200)).save(tmp_path / "images/a.png")
    (tmp_path / "labels/a.txt").write_bytes(label.encode() if isinstance(label, str) else label)
    (tmp_path / "data.yaml").write_text(classes)
    places = (str(tmp_path / part) for part in ("labels", "images", "data.yaml"))
    return read_yolo(DatasetSpec("d", "yolo", *places), Policy.of(rules), scores)


def boxes(reading):
    assert [str(problem) for problem in reading.problems] == []
    return [
        (a["category_id"], *(round(value, 6) for value in a["bbox"]))
        for a in reading.records[0]["annotations"]
    ]


def changes(reading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


# x, y, w, h = 10, 20, 30, 40 in the image of 100 x 200
BOX = (0, 10, 20, 30, 40)


@pytest.mark.parametrize(
    "line",
    [
        "0 0.25 0.2 0.3 0.2",
        "0\t0.25\t0.2\t0.3\t0.2\t\r\n\r\n",
        "  0.0   .25 2e-1 0.3 0.2  \n \n",
        b"\xef\xbb\xbf0 0.25 0.2 0.3 0.2\r\n",
        "0 0.25 0.2 0.3 0.2\n".encode("utf-16"),
        "0 0.25 0.2 0.3 0.2\r",
    ],
)
def test_a_box(tmp_path, line):
    reading = read(tmp_path, line)
    assert boxes(reading) == [BOX]
    assert changes(reading) == {}
    assert "segmentation" not in reading.records[0]["annotations"][0]


@pytest.mark.parametrize(
    "line",
    ["0 0,25 0,2 0,3 0,2", "0, 0.25, 0.2, 0.3, 0.2", "0,0.25,0.2,0.3,0.2", "0;0,25;0,2;0,3;0,2;"],
)
def test_commas_are_understood_and_counted(tmp_path, line):
    reading = read(tmp_path, line)
    assert boxes(reading) == [BOX]
    assert changes(reading) == {"yolo-comma": 1}
    assert len(read(tmp_path, line, rules=["yolo-comma=error"]).problems) == 1


def test_commas_that_may_mean_both_are_refused(tmp_path):
    (problem,) = read(tmp_path, "0,0,25,0,2,0,3,0,2").problems
    assert "a line must hold a class" in str(problem)


def test_polygons_keep_their_points_in_pixels(tmp_path):
    # A triangle, an oriented box and a segment of five points, beside a box.
    text = (
        "1 0.1 0.1 0.4 0.1 0.25 0.3\n0 0.25 0.2 0.3 0.2\n0 0.1 0.2 0.25 0.1 0.4 0.2 0.25 0.3\n"
        "1 0.1 0.1 0.4 0.1 0.4 0.3 0.3 0.3 0.1 0.2\n"
    )
    reading = read(tmp_path, text)
    assert boxes(reading) == [(1, *BOX[1:]), BOX, BOX, (1, *BOX[1:])]
    triangle, box, quadrangle, _ = reading.records[0]["annotations"]
    assert triangle["segmentation"] == [pytest.approx([10, 20, 40, 20, 25, 60])]
    assert quadrangle["segmentation"] == [pytest.approx([10, 40, 25, 20, 40, 40, 25, 60])]
    assert "segmentation" not in box
    assert changes(reading) == {"shape-enclosed": 3}
    assert boxes(read(tmp_path, text, rules=["shape-enclosed=drop"])) == [BOX]


def test_points_slightly_beyond_the_image_are_moved_to_its_edge(tmp_path):
    reading = read(tmp_path, "0 0.7 0.5 1.004 0.5 1.004 0.6 0.7 0.6\n0 0.9 0.5 0.208 0.1")
    assert boxes(reading) == [(0, 70, 100, 30, 20), (0, 79.6, 90, 20.4, 20)]
    segmentation = reading.records[0]["annotations"][0]["segmentation"]
    assert segmentation == [pytest.approx([70, 100, 100, 100, 100, 120, 70, 120])]


@pytest.mark.parametrize(
    "line",
    [
        "0 0.1 0.1 40 0.1 0.4 0.3",
        "0 10 20 30 40",
        "0 -0.6 0.1 0.4 0.1 0.4 0.3",
        "0 1.6 0.5 0.1 0.1",
    ],
)
def test_pixels_are_no_shares(tmp_path, line):
    (problem,) = read(tmp_path, line).problems
    assert "must be shares" in str(problem)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("0 nan 0.1 0.4 0.1 0.4 0.3", "box-not-finite"),
        ("0 0.1 0.1 inf 0.1 0.4 0.3", "box-not-finite"),
        ("0 0.1 0.1 0.4 0.1 0.3 0.1", "box-empty"),
        ("0 0.1 0.1 0.4", "yolo-line"),
        ("0 0.1 0.1 0.4 0.1 1.5", "yolo-line"),
        ("bolts 0.1 0.1 0.4 0.1", "yolo-line"),
        ("0.5 0.1 0.1 0.4 0.1", "class-unknown"),
        ("0 0.1 0.1 0.4 0.1 0.3 0.1 0.9", "yolo-keypoints"),
    ],
)
def test_what_is_refused(tmp_path, line, rule):
    (problem,) = read(tmp_path, line).problems
    assert problem.rule.name == rule
    assert problem.entry == "line 1"


def test_class_ids_may_have_gaps(tmp_path):
    reading = read(tmp_path, "2 0.25 0.2 0.3 0.2", classes="names: {0: bolt, 2: nut}")
    assert boxes(reading) == [(1, *BOX[1:])]
    assert reading.class_ids == {0: 0, 2: 1}
    assert reading.class_names == ["bolt", "nut"]
    (problem,) = read(tmp_path, "1 0.2 0.2 0.3 0.2", classes="names: {0: bolt, 2: nut}").problems
    assert problem.value == "1.0; known are 0, 2"


def test_a_class_may_stand_by_its_name(tmp_path):
    classes = "names: [bolt, hex nut]"
    reading = read(tmp_path, "hex nut 0,25 0,2 0,3 0,2\nbolt .25 .2 .3 .2", classes=classes)
    assert boxes(reading) == [(1, *BOX[1:]), BOX]
    assert changes(reading) == {"yolo-comma": 1, "class-by-name": 2}


@pytest.mark.parametrize(
    ("line", "score"),
    [
        ("0 0.25 0.2 0.3 0.2 0.75", 0.75),
        ("0 0.1 0.1 0.4 0.1 0.4 0.3 0.1 0.3 0.5", 0.5),
        ("0 0.1 0.1 0.4 0.1 0.4 0.3 1", 1),
    ],
)
def test_scores_of_detections(tmp_path, line, score):
    reading = read(tmp_path, line, scores=True)
    assert boxes(reading) == [BOX]
    assert reading.records[0]["annotations"][0]["score"] == score


def test_a_score_of_a_label_is_left_out_on_demand(tmp_path):
    (problem,) = read(tmp_path, "0 0.25 0.2 0.3 0.2 0.75").problems
    assert problem.rule.name == "yolo-score"
    reading = read(tmp_path, "0 0.25 0.2 0.3 0.2 0.75", rules=["yolo-score=fix"])
    assert boxes(reading) == [BOX]
    assert "score" not in reading.records[0]["annotations"][0]


POSE = "names: [bolt, nut]\nkpt_shape: [2, 3]"
KEYPOINTS = "0 0.25 0.2 0.3 0.2 0.2 0.2 2 0.3 0.2 1"


def test_keypoints_that_the_yaml_tells_are_left_out(tmp_path):
    reading = read(tmp_path, f"{KEYPOINTS}\n1 0.25 0.2 0.3 0.2", classes=POSE)
    assert boxes(reading) == [BOX, (1, *BOX[1:])]
    assert changes(reading) == {"keypoints-left-out": 1}
    (scored,) = read(tmp_path, f"{KEYPOINTS} 0.9", classes=POSE, scores=True).records
    assert scored["annotations"][0]["score"] == 0.9


@pytest.mark.parametrize("classes", ["names: [bolt]", "names: [bolt]\nkpt_shape: [3, 3]"])
def test_keypoints_of_an_unknown_number_are_refused(tmp_path, classes):
    (problem,) = read(tmp_path, KEYPOINTS, classes=classes).problems
    assert "needs kpt_shape" in str(problem)
    assert boxes(read(tmp_path, KEYPOINTS, classes=classes, rules=["yolo-keypoints=fix"])) == [BOX]


def test_a_polygon_on_the_image_s_edges_has_no_keypoints(tmp_path):
    reading = read(tmp_path, "0 0 0 1 0 1 1 0 1 0 0")
    assert boxes(reading) == [(0, 0, 0, 100, 200)]


def test_files_that_tools_leave_beside_labels_belong_to_no_image(tmp_path):
    read(tmp_path, "")
    for name in ("classes.txt", "notes.txt", "train.txt", "README.roboflow.txt", ".hidden.txt"):
        (tmp_path / "labels" / name).write_text("not a label")
    reading = read(tmp_path, "")
    assert boxes(reading) == []


def test_names_of_files_agree_in_whatever_coding_and_case_of_the_ending(tmp_path):
    read(tmp_path, "")
    PIL.Image.new("RGB", (100, 200)).save(tmp_path / "images/b\u00fc.png")
    (tmp_path / "labels/bu\u0308.TXT").write_text("0 0.25 0.2 0.3 0.2")
    reading = read(tmp_path, "")
    assert sorted(len(record["annotations"]) for record in reading.records) == [0, 1]
