import contextlib
import csv
import io
import json

import pytest
import torch
from detectron2.structures import Boxes, Instances
from pycocotools.coco import COCO

import smallobj  # noqa: F401
from smallobj.results.coco_ids import CocoIds
from smallobj.results.detection_log import DetectionLog
from smallobj.whole_file import write_whole


def make_instances(boxes, scores, classes, size=(100, 200)):
    instances = Instances(size)
    instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.tensor(scores, dtype=torch.float32)
    instances.pred_classes = torch.tensor(classes, dtype=torch.int64)
    return instances


@pytest.fixture
def log():
    log = DetectionLog(["bolt", "너트, klein"])
    found = make_instances([[10, 20, 30.123, 50], [0, 0, 8, 8]], [0.9, 0.5], [1, 0])
    log.add("a/1.jpg", 1, found)
    log.add("b/2.jpg", 2, make_instances([], [], [], size=(5, 7)))
    return log


def test_json(tmp_path, log):
    log.write(str(tmp_path / "new" / "d.json"), None, None)
    content = json.loads((tmp_path / "new" / "d.json").read_text(encoding="utf-8"))
    assert content["classes"] == ["bolt", "너트, klein"]
    first, second = content["images"]
    assert (first["file"], first["width"], first["height"]) == ("a/1.jpg", 200, 100)
    assert first["detections"][0] == {
        "class": "너트, klein",
        "class_id": 1,
        "score": 0.9,
        "box": [10.0, 20.0, 30.12, 50.0],
    }
    assert second == {"file": "b/2.jpg", "width": 7, "height": 5, "detections": []}


def test_csv(tmp_path, log):
    log.write(None, str(tmp_path / "d.csv"), None)
    with open(tmp_path / "d.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["file", "class_id", "class", "score", "x1", "y1", "x2", "y2"],
        ["a/1.jpg", "1", "너트, klein", "0.9", "10.0", "20.0", "30.12", "50.0"],
        ["a/1.jpg", "0", "bolt", "0.5", "0.0", "0.0", "8.0", "8.0"],
    ]


@pytest.fixture
def annotations(tmp_path):
    path = tmp_path / "ann.json"
    content = {
        "images": [
            {"id": 70, "file_name": "1.jpg", "width": 200, "height": 100},
            {"id": 71, "file_name": "b/1.jpg", "width": 200, "height": 100},
            {"id": 72, "file_name": "c/2.jpg", "width": 200, "height": 100},
        ],
        "categories": [{"id": 5, "name": "bolt"}, {"id": 3, "name": "너트, klein"}],
        "annotations": [],
    }
    path.write_text(json.dumps(content))
    return str(path)


def test_coco_results_load_into_pycocotools(tmp_path, log, annotations):
    ids = CocoIds(annotations)
    log.category_ids = ids.category_ids(log.class_names)
    log.images.clear()
    (image_id,) = ids.image_ids([str(tmp_path / "a" / "1.jpg")])
    found = make_instances([[10, 20, 30.25, 50], [0, 0, 8, 8]], [0.9, 0.5], [1, 0])
    log.add("a/1.jpg", image_id, found)
    log.write(None, None, str(tmp_path / "d.json"))
    with contextlib.redirect_stdout(io.StringIO()):
        results = COCO(annotations).loadRes(str(tmp_path / "d.json"))
    loaded = results.loadAnns(results.getAnnIds(imgIds=[70]))
    assert [(a["category_id"], a["bbox"], a["score"]) for a in loaded] == [
        (3, [10.0, 20.0, 20.25, 30.0], 0.9),
        (5, [0.0, 0.0, 8.0, 8.0], 0.5),
    ]


def test_coco_ids_without_a_file_count_from_one(tmp_path, log):
    assert CocoIds().image_ids(["x.jpg", "y.jpg"]) == [1, 2]
    log.write(None, None, str(tmp_path / "d.json"))
    results = json.loads((tmp_path / "d.json").read_text())
    assert [(r["image_id"], r["category_id"]) for r in results] == [(1, 2), (1, 1)]


def test_coco_image_ids_follow_the_longest_matching_name(annotations):
    assert CocoIds(annotations).image_ids(["b/1.jpg", "z/1.jpg", "c/2.jpg"]) == [71, 70, 72]
    with pytest.raises(ValueError, match=r"d/2\.jpg: .*ann\.json lists no image"):
        CocoIds(annotations).image_ids(["d/2.jpg"])
    with pytest.raises(ValueError, match="no category for the model's nut"):
        CocoIds(annotations).category_ids(["bolt", "nut"])


@pytest.mark.parametrize("text", ["[]", "{", '{"images": [{"id": 1}], "categories": []}'])
def test_no_coco_annotations(tmp_path, text):
    (tmp_path / "ann.json").write_text(text)
    with pytest.raises(ValueError, match=r"ann\.json: must be COCO JSON"):
        CocoIds(str(tmp_path / "ann.json"))
    with pytest.raises(FileNotFoundError, match="missing"):
        CocoIds(str(tmp_path / "missing.json"))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, log, monkeypatch):
    path = tmp_path / "d.json"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            log.write(str(path), None, None)
    assert path.read_text() == "old"
    write_whole(str(path), b"new")
    assert path.read_text() == "new"
