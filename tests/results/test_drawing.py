import time

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

import smallobj  # noqa: F401
from smallobj.geometry.masks import CropMasks
from smallobj.geometry.tiling import plan_tiles
from smallobj.results.drawing import class_color, draw_detections

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
