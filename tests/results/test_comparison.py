import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, BoxMode, Instances

import smallobj  # noqa: F401
from smallobj.results.class_colors import class_color
from smallobj.results.comparison import draw_comparison

NAMES = ["washer", "십원", "bolt"]


def make_instances(size, boxes, classes=None):
    instances = Instances(size)
    instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.linspace(0.99, 0.5, len(boxes))
    instances.pred_classes = torch.tensor(classes or [0] * len(boxes), dtype=torch.int64)
    return instances


def grey(height, width):
    return np.full((height, width, 3), 128, dtype=np.uint8)


def has_color(picture, color):
    return bool((picture == color).all(axis=2).any())


def make_sample(folder, size, boxes, classes):
    path = str(folder / "photo.png")
    cv2.imwrite(path, grey(*size))
    annotations = [
        {"bbox": box, "bbox_mode": BoxMode.XYWH_ABS, "category_id": index}
        for box, index in zip(boxes, classes, strict=True)
    ]
    return {"file_name": path, "annotations": annotations}


def test_comparison_has_truth_left_predictions_right_and_close_ups_below(tmp_path):
    sample = make_sample(tmp_path, (1500, 2000), [[900, 700, 40, 40]], [0])
    found = make_instances((1500, 2000), [[300, 300, 340, 330]], [2])
    picture = draw_comparison(sample, found, NAMES)
    assert picture.shape[1] == 1000 + 6 + 1000
    left, right = picture[:770, :1000], picture[:770, 1006:]
    assert has_color(left, class_color(0))
    assert not has_color(left, class_color(2))
    assert has_color(right, class_color(2))
    assert not has_color(right, class_color(0))
    # Two close-ups of 240 px: the labelled object, then what was found elsewhere.
    rows = picture[-486:-246], picture[-240:]
    first, second = slice(0, 240), slice(246, 486)
    assert has_color(rows[0][:, first], class_color(0))
    assert not has_color(rows[1][:, first], class_color(0))
    assert has_color(rows[1][:, second], class_color(2))
    assert not has_color(rows[0][:, second], class_color(2))


def test_close_ups_show_the_photograph_pixel_by_pixel(tmp_path):
    sample = make_sample(tmp_path, (1500, 2000), [[900, 700, 40, 40]], [0])
    image = grey(1500, 2000)
    image[710:730:2, 910:930] = 255  # stripes that any shrinking would blur
    image[711:731:2, 910:930] = 0
    cv2.imwrite(sample["file_name"], image)
    close_up = draw_comparison(sample, make_instances((1500, 2000), []), NAMES)[-240:, :240]
    assert set(np.unique(close_up[102:138, 102:138])) == {0, 255}


@pytest.mark.parametrize("size", [(90, 70), (3000, 200)])
def test_comparison_of_odd_shapes_many_objects_and_none(tmp_path, size):
    boxes = [[x, y, 8.5, 6] for x in range(2, 50, 12) for y in range(2, 80, 20)]
    for count in (0, len(boxes)):
        sample = make_sample(tmp_path, size, boxes[:count], [0] * count)
        for found in ([], [[1, 1, 60, 70]]):
            picture = draw_comparison(sample, make_instances(size, found), NAMES)
            assert picture.dtype == np.uint8
            assert picture.shape[2] == 3
            assert max(picture.shape) < 2100


def test_comparison_without_annotations_or_with_an_object_larger_than_the_close_up(tmp_path):
    sample = make_sample(tmp_path, (1500, 2000), [[100, 100, 700, 500]], [1])
    picture = draw_comparison(sample, make_instances((1500, 2000), []), NAMES)
    frame = (picture[-486:-246, :240] == class_color(1)).all(axis=2)
    assert frame.any(axis=0).sum() > 150  # the whole object is in view
    del sample["annotations"]
    assert draw_comparison(sample, make_instances((1500, 2000), []), NAMES).shape[0] < 800
