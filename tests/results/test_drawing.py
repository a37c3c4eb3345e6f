import time

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, BoxMode, Instances

import smallobj  # noqa: F401
from smallobj.geometry.masks import CropMasks
from smallobj.geometry.tiling import plan_tiles
from smallobj.results.drawing import class_color, draw_comparison, draw_detections

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


def changed(picture, box):
    x0, y0, x1, y1 = box
    return bool((picture[y0:y1, x0:x1] != 128).any())


@pytest.mark.parametrize("crops", [False, True])
def test_masks_are_tints_of_their_class(crops):
    size = (300, 400)
    found = make_instances(size, [[100, 50, 140, 90], [200, 50, 240, 90]], [0, 2])
    masks = torch.zeros(2, *size, dtype=torch.bool)
    masks[0, 60:80, 110:130] = masks[1, 60:80, 210:220] = True
    found.pred_masks = CropMasks.from_bitmasks(masks) if crops else masks
    picture = draw_detections(grey(*size), found, NAMES)
    for mask, index in zip(masks.numpy(), (0, 2), strict=True):
        tint = [(128 + value) // 2 for value in class_color(index)]
        assert (picture[mask] == tint).all()
    inside = np.zeros(size, bool)
    inside[50:90, 100:140] = inside[50:90, 200:240] = True
    assert (picture[inside & ~masks.any(dim=0).numpy()] == 128).all()


@pytest.mark.parametrize("size", [(2100, 2800), (300, 400)])
def test_the_inside_of_a_box_is_left_alone(size):
    box = [40, 50, 52, 61]
    picture = draw_detections(grey(*size), make_instances(size, [box]), NAMES)
    assert not changed(picture, box)
    assert has_color(picture[48:50, 40:52], class_color(0))
    assert picture.shape == (*size, 3)


def test_labels_hide_no_box_of_a_crowd():
    boxes = [[x, y, x + 14, y + 14] for x in range(100, 700, 60) for y in range(100, 500, 80)]
    size = (700, 900)
    picture = draw_detections(grey(*size), make_instances(size, boxes), NAMES)
    hidden = [box for box in boxes if changed(picture, box)]
    assert len(hidden) <= len(boxes) // 20


@pytest.mark.parametrize(
    "box", [[0, 0, 20, 20], [380, 0, 400, 20], [0, 280, 20, 300], [380, 280, 400, 300]]
)
def test_labels_stay_in_the_image_at_its_corners(box):
    size = (300, 400)
    picture = draw_detections(grey(*size), make_instances(size, [box]), NAMES)
    assert not changed(picture, box)
    label = (picture == class_color(0)).all(axis=2).sum()
    assert label > 12 * 60 * 0.5  # the background of a label of 60 x 12, half of it under letters


def test_line_and_label_grow_with_the_image():
    coloured = []
    for scale in (1, 4):
        size = (525 * scale, 700 * scale)
        instances = make_instances(size, [[100, 100, 130, 130]])
        picture = draw_detections(grey(*size), instances, NAMES)
        coloured.append((picture == class_color(0)).all(axis=2).sum())
    assert coloured[1] > 2.5 * coloured[0]


def test_the_image_itself_is_not_changed_and_nothing_is_drawn_for_nothing():
    image = grey(60, 80)
    draw_detections(image, make_instances((60, 80), [[5, 5, 20, 20]]), NAMES)
    empty = draw_detections(image, make_instances((60, 80), []), NAMES)
    assert (image == 128).all()
    assert (empty == 128).all()
    assert empty is not image


def test_flipped_and_read_only_arrays_are_taken():
    image = grey(60, 80)[:, :, ::-1]
    image.flags.writeable = False
    assert draw_detections(image, make_instances((60, 80), [[5, 5, 20, 20]]), NAMES).any()


def test_labels_are_written_in_korean_and_for_unnamed_classes():
    size = (300, 400)
    pictures = [
        draw_detections(grey(*size), make_instances(size, [[50, 50, 80, 80]], [1]), names)
        for names in (["a", "십원"], ["a", "원십"], ["a"])
    ]
    assert not np.array_equal(pictures[0], pictures[1])  # question marks would be the same
    assert not np.array_equal(pictures[0], pictures[2])


def test_class_colors_are_stable_and_tell_30_classes_apart():
    colors = np.array([class_color(index) for index in range(30)])
    assert class_color(7) == tuple(colors[7])
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 1000 * np.eye(30, dtype=int)
    assert distances.min() > 60
    assert all(distances[i, i + 1] > 150 for i in range(29))


def test_the_tile_grid_is_dashed_along_every_tile_edge():
    size = (400, 600)
    tiles = plan_tiles(size, 256, 32)
    picture = draw_detections(grey(*size), make_instances(size, []), NAMES, tiles)
    for x0, y0, x1, y1 in tiles.tolist():
        for edge in (picture[y0, x0:x1], picture[y0:y1, x1 - 1], picture[y1 - 1, x0:x1]):
            assert set(np.unique(edge)) == {0, 255}
    drawn = (picture != 128).any(axis=2).mean()
    assert drawn < 0.03


def test_drawing_takes_a_fraction_of_a_second():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 2000, (100, 2))
    boxes = np.hstack([low, low + rng.uniform(10, 100, (100, 2))]).tolist()
    image, instances = grey(2100, 2800), make_instances((2100, 2800), boxes)
    draw_detections(image, instances, NAMES)
    # Processor time, since tests share the machine; 0.05 s where it was written.
    start = time.process_time()
    draw_detections(image, instances, NAMES, plan_tiles((2100, 2800), 1024, 128))
    assert time.process_time() - start < 0.5


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
