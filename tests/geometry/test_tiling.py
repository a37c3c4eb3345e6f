"""Tile plans, placement and the seam rule, against brute force on random layouts."""

import numpy as np
import pytest
import torch

from smallobj.geometry.tiling import (
    cut_by_seam,
    place_on_background,
    place_on_box,
    plan_tiles,
    sample_training_tiles,
    superseded,
    visible_fraction,
)


@pytest.mark.parametrize(
    ("tile", "overlap", "count"), [(1024, 128, 9), (640, 128, 24), (512, 102, 35)]
)
def test_tile_counts_of_the_challenge_photographs(tile, overlap, count):
    assert len(plan_tiles((2100, 2800), tile, overlap)) == count


def test_a_plan_by_hand():
    # 100 px with tiles of at most 60 that share 20: two tiles, [0, 60) and [40, 100).
    tiles = plan_tiles((50, 100), 60, 20, multiple=1)
    assert tiles.tolist() == [[0, 0, 60, 50], [40, 0, 100, 50]]
    # 90 px would need two of 55 only; they are rounded up to a multiple, up to the limit.
    assert plan_tiles((50, 90), 60, 20, multiple=1).tolist() == [[0, 0, 55, 50], [35, 0, 90, 50]]
    assert plan_tiles((50, 90), 60, 20, multiple=8).tolist() == [[0, 0, 56, 50], [34, 0, 90, 50]]
    assert plan_tiles((50, 90), 60, 20, multiple=32).tolist() == [[0, 0, 60, 50], [30, 0, 90, 50]]


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "message"),
    [
        ((0, 5), 10, 0, r"\(0, 5\)"),
        ((5, 5), 10, 10, r"overlap must lie in \[0, 10\); got 10"),
        ((5, 5), 10, -1, r"overlap must lie in \[0, 10\); got -1"),
    ],
)
def test_impossible_plans_are_refused(size, tile, overlap, message):
    with pytest.raises(ValueError, match=message):
        plan_tiles(size, tile, overlap)


def random_plans(count, largest=3000):
    rng = np.random.default_rng(3)
    for _ in range(count):
        height, width = (int(v) for v in rng.integers(1, largest, 2))
        tile = int(rng.integers(2, 1100))
        overlap = int(rng.integers(0, max(tile // 2, 1)))
        if height * width / (tile - overlap) ** 2 < 5000:
            yield (height, width), tile, overlap


def test_tiles_have_one_size_lie_in_the_image_and_cover_it():
    for (height, width), tile, overlap in random_plans(300):
        tiles = plan_tiles((height, width), tile, overlap)
        sides = tiles[:, 2:] - tiles[:, :2]
        assert (sides == sides[0]).all()
        assert sides.max() <= tile
        assert tiles.min() >= 0
        assert (tiles[:, 2:] <= (width, height)).all()
        for axis, length in ((0, width), (1, height)):
            spans = np.unique(tiles[:, [axis, axis + 2]], axis=0)
            assert spans[0, 0] == 0
            assert spans[-1, 1] == length
            assert (spans[:-1, 1] - spans[1:, 0] >= overlap).all()


def test_every_object_up_to_the_overlap_lies_whole_in_some_tile():
    rng = np.random.default_rng(4)
    for (height, width), tile, overlap in random_plans(150):
        tiles = plan_tiles((height, width), tile, overlap)
        limit = np.minimum(overlap, (width, height))
        sides = rng.uniform(0, 1, (60, 2)) * limit
        sides[::5] = limit  # the longest promised
        corner = rng.uniform(0, 1, (60, 2)) * ((width, height) - sides)
        boxes = np.hstack([corner, corner + sides])[:, None]
        inside = (boxes[..., :2] >= tiles[:, :2]) & (boxes[..., 2:] <= tiles[:, 2:])
        assert inside.all(axis=-1).any(axis=1).all(), ((height, width), tile, overlap)


def shown(boxes, tiles):
    """Parts (N, 4) of boxes that are visible in tiles, their tiles (N, 4), indices of the boxes."""
    low = np.maximum(boxes[:, None, :2], tiles[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], tiles[None, :, 2:])
    index, tile = np.nonzero((high > low).all(axis=2))
    parts = np.concatenate([low, high], axis=2)[index, tile]
    return torch.tensor(parts), torch.tensor(tiles[tile]), torch.tensor(index)


def overlaps(boxes):
    """Every pair of boxes that share some area, by brute force."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    return torch.triu((high > low).all(dim=2), diagonal=1).nonzero().unbind(dim=1)


def random_boxes(rng, count, size, longest, whole_pixels=False):
    length = np.array(size[::-1], dtype=np.float64)
    sides = np.minimum(rng.uniform(1, longest, (count, 2)), length)
    corner = rng.uniform(0, 1, (count, 2)) * (length - sides)
    if whole_pixels:
        sides, corner = np.ceil(sides), np.floor(corner)
    return np.hstack([corner, np.minimum(corner + sides, length)])


@pytest.mark.parametrize("whole_pixels", [True, False])
def test_of_an_object_up_to_the_overlap_only_whole_copies_stay(whole_pixels):
    rng = np.random.default_rng(5)
    margin, overlap, size = 2.0, 64, (700, 900)
    tiles = plan_tiles(size, 256, overlap)
    seen_cut = 0
    for box in random_boxes(rng, 600, size, overlap - 2 * margin - 1, whole_pixels):
        parts, homes, _ = shown(box[None], tiles)
        cut = cut_by_seam(parts, homes, size, margin)
        dropped = superseded(parts, homes, cut, overlaps(parts), 0.5)
        whole = torch.isclose(parts, torch.tensor(box)).all(dim=1)
        assert (dropped | whole).all(), box
        assert (whole & ~dropped).any(), box
        seen_cut += (~whole).any().item()
    assert seen_cut > 100


@pytest.mark.parametrize("overlap", [16, 64, 100])
def test_a_box_is_dropped_only_for_a_whole_copy(overlap):
    """Objects up to nearly the size of a tile keep all fragments if no copy is whole."""
    rng = np.random.default_rng(6)
    margin, size = 2.0, (700, 900)
    tiles = plan_tiles(size, 256, overlap)
    without_copy = 0
    for box in random_boxes(rng, 600, size, 250, whole_pixels=True):
        parts, homes, _ = shown(box[None], tiles)
        cut = cut_by_seam(parts, homes, size, margin)
        dropped = superseded(parts, homes, cut, overlaps(parts), 0.5)
        if cut.all():
            without_copy += 1
            assert not dropped.any(), box
        else:
            assert torch.equal(dropped, cut), box
    assert without_copy > 10


def slow_superseded(boxes, tiles, cut, min_iou):
    """The rule of the docstring, box by box."""
    result = []
    for f in range(len(boxes)):
        drop = False
        for c in range(len(boxes)):
            if not cut[f] or cut[c] or tiles[f].tolist() == tiles[c].tolist():
                continue
            seen = [
                *(max(a, b) for a, b in zip(boxes[c, :2], tiles[f, :2], strict=True)),
                *(min(a, b) for a, b in zip(boxes[c, 2:], tiles[f, 2:], strict=True)),
            ]
            sides = [min(seen[k + 2], boxes[f, k + 2]) - max(seen[k], boxes[f, k]) for k in (0, 1)]
            if min(sides) <= 0:
                continue
            shared = sides[0] * sides[1]
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (seen, boxes[f])]
            drop |= bool(shared / (sum(areas) - shared) >= min_iou)
        result.append(drop)
    return result


@pytest.mark.parametrize("min_iou", [0.3, 0.5, 0.8])
def test_seam_rule_against_a_slow_reference(min_iou):
    rng = np.random.default_rng(8)
    tiles = plan_tiles((300, 400), 160, 40)
    tiles = np.vstack([tiles, [[30, 20, 190, 180], [100, 90, 260, 250]]])  # two tiles off the grid
    dropped = 0
    for _ in range(5):
        boxes = random_boxes(rng, 25, (300, 400), 90, whole_pixels=True)
        parts, homes, _ = shown(boxes, tiles)
        # Like a detector, off by a few pixels; this also gives equal boxes and ties.
        parts = parts + torch.tensor(rng.integers(-3, 4, parts.shape))
        cut = cut_by_seam(parts, homes, (300, 400), 2.0)
        found = superseded(parts, homes, cut, overlaps(parts), min_iou)
        assert found.tolist() == slow_superseded(parts, homes, cut, min_iou)
        dropped += int(found.sum())
    assert dropped > 5


def test_a_small_object_on_a_large_one_is_no_fragment_of_it():
    left, right = [0, 0, 60, 60], [40, 0, 100, 60]
    boxes = torch.tensor(
        [
            [50.0, 20, 60, 30],  # a nut that the left tile cuts
            [45, 10, 95, 40],  # the ruler under it, whole in the right tile
            [45, 10, 60, 40],  # what the left tile shows of the ruler
        ]
    )
    homes = torch.tensor([left, right, left])
    cut = cut_by_seam(boxes, homes, (60, 100), 2.0)
    assert cut.tolist() == [True, False, True]
    assert superseded(boxes, homes, cut, overlaps(boxes), 0.5).tolist() == [False, False, True]


def test_touching_a_seam_by_hand():
    tile, size = torch.tensor([40, 0, 100, 60]), (60, 200)  # seams at its left and right
    boxes = torch.tensor(
        [
            [40.0, 10, 49, 20],  # at the left seam
            [91, 10, 100, 20],  # at the right seam
            [60, 0, 70, 9],  # touches the image's top
            [60, 51, 70, 60],  # touches the image's bottom
            [60, 20, 70, 30],  # touches nothing
            [40, 0, 100, 60],  # larger than the tile
            [42, 10, 49, 20],  # stops short of the edge by the margin
            [42.5, 10, 97.5, 20],  # stops short of both by more
        ]
    )
    cut = cut_by_seam(boxes, tile, size, margin=2)
    assert cut.tolist() == [True, True, False, False, False, True, True, False]


def test_a_single_tile_has_no_seams():
    boxes = torch.tensor([[0.0, 0, 5, 5], [0, 0, 64, 64], [60, 60, 64, 64]])
    assert not cut_by_seam(boxes, torch.tensor([0, 0, 64, 64]), (64, 64), 2).any()


def test_no_boxes_no_fragments():
    none = torch.zeros(0, 4)
    cut = cut_by_seam(none, none, (100, 100), 2)
    assert cut.shape == (0,)
    assert cut.dtype == torch.bool
    assert superseded(none, none, cut, overlaps(none), 0.5).shape == (0,)


def test_visible_fraction_by_hand():
    boxes = np.array(
        [[0, 0, 10, 10], [5, 5, 15, 15], [-5, 2, 5, 4], [20, 20, 30, 30], [3, 3, 3, 9]], float
    )
    shown = visible_fraction(boxes, np.array([0, 0, 10, 10]))
    assert shown.tolist() == [1, 0.25, 0.5, 0, 0]
    assert visible_fraction(np.zeros((0, 4)), np.array([0, 0, 10, 10])).shape == (0,)


def check_tile(tile, size, side):
    height, width = size
    assert tile.min() >= 0
    assert tile[2] <= width
    assert tile[3] <= height
    assert tile[2] - tile[0] == min(side, width)
    assert tile[3] - tile[1] == min(side, height)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_tile_on_an_object_holds_it_whole(jitter):
    rng = np.random.default_rng(8)
    for _ in range(2000):
        size = tuple(int(v) for v in rng.integers(40, 600, 2))
        side = int(rng.integers(40, 200))
        box = random_boxes(rng, 1, size, side - 2)[0]
        tile = place_on_box(rng, size, box, side, jitter)
        check_tile(tile, size, side)
        assert visible_fraction(box[None], tile)[0] == pytest.approx(1, abs=1e-9), (box, tile)


def test_jitter_moves_the_object_within_the_tile():
    rng, box = np.random.default_rng(9), np.array([500.0, 500, 520, 520])

    def starts(jitter):
        tiles = [place_on_box(rng, (1000, 1000), box, 100, jitter) for _ in range(500)]
        return np.array(tiles)[:, :2]

    assert (starts(0.0) == 460).all()
    everywhere = starts(1.0)
    assert (everywhere.min(axis=0) <= 422).all()
    assert (everywhere.max(axis=0) >= 498).all()
    assert abs(everywhere.mean() - 460) < 4
    half = starts(0.5)
    assert half.min() >= 440
    assert half.max() <= 480


def test_an_object_larger_than_the_tile_fills_it():
    rng = np.random.default_rng(0)
    tile = place_on_box(rng, (1000, 1000), np.array([300.0, 300, 700, 700]), 100, 1.0)
    assert tile.tolist() == [450, 450, 550, 550]


def test_background_shows_no_object_where_there_is_room():
    rng = np.random.default_rng(10)
    boxes = np.array([[0, 0, 60, 400], [300, 300, 330, 330]], float)
    for _ in range(300):
        tile = place_on_background(rng, (400, 600), boxes, 100)
        check_tile(tile, (400, 600), 100)
        assert visible_fraction(boxes, tile).sum() == 0


def test_background_shows_the_least_where_there_is_no_room():
    boxes = np.array([[0, 0, 100, 50]], float)
    shown = [
        visible_fraction(boxes, place_on_background(rng, (100, 100), boxes, 80, attempts=200))[0]
        for rng in [np.random.default_rng(seed) for seed in range(20)]
    ]
    assert max(shown) <= 0.8 * 0.64  # the best tile shows 80 x 30 of 100 x 50


def test_objects_are_taken_in_turn():
    rng = np.random.default_rng(11)
    corner = np.arange(5)[:, None] * 100.0 + 40
    boxes = np.hstack([corner, corner, corner + 10, corner + 10])
    arguments = {"tile": 50, "background_ratio": 0.0, "jitter": 1.0}
    tiles = sample_training_tiles(rng, (600, 600), boxes, count=10, **arguments)
    shows = np.array([visible_fraction(boxes, tile) == 1 for tile in tiles])
    assert (shows.sum(axis=1) == 1).all()
    assert (shows[:5].sum(axis=0) == 1).all()
    assert (shows[5:].sum(axis=0) == 1).all()


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_share_of_background(ratio):
    rng, boxes = np.random.default_rng(12), np.array([[100.0, 100, 120, 120]])
    arguments = {"tile": 64, "background_ratio": ratio, "jitter": 1.0}
    tiles = sample_training_tiles(rng, (500, 500), boxes, count=2000, **arguments)
    empty = np.mean([visible_fraction(boxes, tile)[0] == 0 for tile in tiles])
    assert empty == pytest.approx(ratio, abs=0.05 if 0 < ratio < 1 else 0)
