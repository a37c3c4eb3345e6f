"""Pictures of an evaluation, on a photograph whose pixels are known."""

import cv2
import numpy as np
import pytest
from detectron2.utils.events import EventStorage

from smallobj.engine.evaluation_pictures import (
    draw_curves,
    draw_galleries,
    put_evaluation_pictures,
)
from smallobj.evaluation.metrics.errors import find_errors
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


@pytest.fixture
def data(tmp_path):
    """One object found, one missed at the border, and a false alarm, in a green photograph."""
    image = np.zeros((300, 400, 3), np.uint8)
    image[:, :, 1] = 90
    cv2.imwrite(str(tmp_path / "a.png"), image)
    boxes = np.array([[20, 20, 60, 60], [370, 270, 400, 300]], dtype=np.float64)
    labels = LabelTable(
        np.zeros(2, np.int64),
        np.array([0, 1]),
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        np.zeros(2, bool),
    )
    found = np.array([[20, 20, 60, 60], [200, 100, 230, 130]], dtype=np.float64)
    detections = DetectionTable(
        np.zeros(2, np.int64), np.array([0, 0]), found, np.array([0.9, 0.95])
    )
    path = str(tmp_path / "a.png")
    return EvaluationSet([1], [path], np.array([[300, 400]]), ["nut", "bolt"], labels, detections)


def test_galleries_show_what_was_missed_and_what_was_wrong(data):
    sheets = draw_galleries(data, find_errors(data))
    assert sorted(sheets) == ["false positives", "misses"]
    for sheet in sheets.values():
        # One crop of six places; its background is the photograph's.
        assert sheet.shape == (214, 6 * 192, 3)
        assert sheet[100, 3].tolist() == [0, 90, 0]
        assert (sheet[:, 192:] == 32).all()
        assert (sheet[:192, :192] == [60, 60, 255]).all(axis=2).any()
        assert (sheet[192:, :192].max(axis=2) > 150).any()


def test_a_missing_photograph_leaves_no_gallery(data, tmp_path):
    (tmp_path / "a.png").unlink()
    assert draw_galleries(data, find_errors(data)) == {}


def test_nothing_wrong_leaves_no_gallery(data):
    perfect = DetectionTable(
        data.labels.images, data.labels.categories, data.labels.boxes, np.array([0.9, 0.8])
    )
    data = data.with_detections(perfect)
    assert draw_galleries(data, find_errors(data)) == {}


def test_curves_are_drawn(data):
    picture = draw_curves(data, find_errors(data))
    assert picture.shape == (600, 700, 3)
    assert picture.std() > 10


def test_pictures_go_to_the_event_storage(data):
    errors = find_errors(data)
    put_evaluation_pictures("val", data, errors)  # outside of training: nothing happens
    with EventStorage() as storage:
        put_evaluation_pictures("val", data, errors)
        names = [name for name, *_ in storage._vis_data]
    assert names == ["val/curves", "val/misses", "val/false positives"]
