import time

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

import smallobj  # noqa: F401
from smallobj.geometry.masks import CropMasks
from smallobj.geometry.tiling import plan_tiles
from smallobj.results.class_colors import class_color
from smallobj.results.drawing import draw_detections, draw_picture
from smallobj.results.drawing_options import DrawingOptions

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


def crowd(count, size, seed=0, least=8, most=20, gap=3):
    """Boxes of 8 to 20 px that don't touch, (count, 4) XYXY."""
    rng = np.random.default_rng(seed)
    taken = np.zeros(size, bool)
    boxes = []
    while len(boxes) < count:
        w, h = rng.integers(least, most + 1, 2)
        x, y = rng.integers(gap, size[1] - w - gap), rng.integers(gap, size[0] - h - gap)
        if not taken[y - gap : y + h + gap, x - gap : x + w + gap].any():
            taken[y : y + h, x : x + w] = True
            boxes.append([x, y, x + w, y + h])
    return np.array(boxes)


def hidden_share(picture, boxes):
    """Share of the objects' pixels that anything was drawn over, on grey."""
    inside = np.zeros(picture.shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        inside[y0:y1, x0:x1] = True
    height = inside.shape[0]
    return ((picture[:height] != 128).any(axis=2) & inside).sum() / inside.sum()


@pytest.mark.parametrize(
    ("count", "size", "kind"),
    [
        (5, (800, 1000), "full"),
        (300, (6300, 8400), "full"),
        (250, (800, 1000), "name"),
        (90, (300, 400), "index"),
        (400, (400, 500), "none"),
    ],
)
def test_labels_become_shorter_in_a_crowd_and_hide_no_object(count, size, kind):
    boxes = crowd(count, size)
    names = ["tape measure", "pumpkin seed", "nut"]
    instances = make_instances(size, boxes.tolist(), [n % 3 for n in range(count)])
    drawn = draw_picture(grey(*size), instances, names, options=DrawingOptions(legend=False))
    assert drawn.kind == kind
    assert drawn.left_out <= count // 20
    assert hidden_share(drawn.picture, boxes) < 0.005
    # Most of the frame of each box is visible, one pixel outside.
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        is_line = (drawn.picture[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] == class_color(n % 3)).all(
            axis=2
        )
        is_line[1:-1, 1:-1] = False
        assert is_line.sum() > 0.7 * 2 * (x1 - x0 + y1 - y0)


def test_letters_follow_the_objects_in_a_very_large_image():
    size = (6300, 8400)
    picture = draw_detections(grey(*size), make_instances(size, [[4000, 3000, 4012, 3012]]), NAMES)
    rows = (picture != 128).any(axis=(1, 2)).sum()
    assert 12 + 2 * 3 + 12 <= rows < 80  # not 150: a label of 116 px, frames of 10 px


@pytest.mark.parametrize("gap", [1, 2, 3, 6])
def test_frames_do_not_cover_neighbours(gap):
    boxes = np.array([[100 + n * (8 + gap), 100, 108 + n * (8 + gap), 108] for n in range(20)])
    options = DrawingOptions(labels="none", legend=False)
    picture = draw_detections(
        grey(400, 400), make_instances((400, 400), boxes), NAMES, None, options
    )
    assert hidden_share(picture, boxes) == 0


def test_a_label_lies_closer_to_its_object_than_to_any_other():
    # In a grid, a label at a corner of its box would be under the next box.
    size = (500, 700)
    boxes = [[x, y, x + 40, y + 40] for y in range(30, 430, 80) for x in range(20, 620, 90)]
    picture = draw_picture(grey(*size), make_instances(size, boxes), ["bearing"])
    assert (picture.kind, picture.left_out) == ("full", 0)
    for x0, y0, x1, y1 in boxes:
        above = picture.picture[y0 - 14 : y0 - 4, x0:x1]
        below = picture.picture[y1 + 4 : y1 + 14, x0:x1]
        assert (above != 128).any() or (below != 128).any()


def test_the_user_chooses_labels_line_width_and_legend():
    size = (400, 500)
    boxes = crowd(300, size)
    instances = make_instances(size, boxes.tolist(), [n % 3 for n in range(300)])
    full = draw_picture(grey(*size), instances, NAMES, options=DrawingOptions("full", 1, False))
    none = draw_picture(grey(*size), instances, NAMES, options=DrawingOptions("none", 1, False))
    assert (full.kind, none.kind) == ("full", "none")
    assert (full.picture != 128).any(axis=2).sum() > 2 * (none.picture != 128).any(axis=2).sum()
    one = make_instances(size, [[100, 100, 120, 120]])
    wide = draw_detections(grey(*size), one, NAMES, None, DrawingOptions("none", 7, False))
    assert (wide == class_color(0)).all(axis=2)[110, :110].sum() == 7
    for wrong in ({"labels": "all"}, {"line_width": 0}):
        with pytest.raises(ValueError, match=r"got ('all'|0)"):
            DrawingOptions(**wrong)


def test_the_legend_lies_in_a_free_place_or_below_the_image():
    size = (400, 500)
    always = DrawingOptions(legend=True)
    few = make_instances(size, [[5, 5, 40, 40], [200, 200, 230, 230]], [0, 2])
    inside = draw_picture(grey(*size), few, NAMES, options=always).picture
    assert inside.shape == (*size, 3)
    assert (inside == 255).all(axis=2).sum() > 500
    full = np.array([[x, y, x + 14, y + 14] for x in range(0, 500, 18) for y in range(0, 400, 18)])
    many = make_instances(size, full.tolist())
    below = draw_picture(grey(*size), many, NAMES).picture
    assert below.shape[0] > 400 + 12
    assert below.shape[1] == 500
    assert has_color(below[400:], class_color(0))
    assert hidden_share(below, full.clip(0, 400)) < 0.005
    assert draw_detections(grey(*size), many, NAMES, None, DrawingOptions(legend=False)).shape == (
        *size,
        3,
    )
    assert draw_detections(grey(*size), make_instances(size, []), NAMES, None, always).shape == (
        *size,
        3,
    )


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
