"""Tile plans, placement and the seam rule, against brute force on random layouts."""

import numpy as np
import pytest
import torch

from smallobj.tiling import (
    cut_by_seam,
    place_on_background,
    place_on_box,
    plan_tiles,
    sample_training_tiles,
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
    ("size", "tile", "overlap", "told"),
    [
        ((0, 5), 10, 0, r"\(0, 5\)"),
        ((5, 5), 10, 10, "overlap 10, tile 10"),
        ((5, 5), 10, -1, "overlap -1"),
    ],
)
def test_impossible_plans_are_refused(size, tile, overlap, told):
    with pytest.raises(ValueError, match=told):
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


def copies(box, tiles):
    """(tile index, the part of a box that the tile shows, in its frame) for each tile."""
    for index, tile in enumerate(tiles):
        low, high = np.maximum(box[:2], tile[:2]), np.minimum(box[2:], tile[2:])
        if (high - low > 0).all():
            yield index, np.concatenate([low, high]) - np.tile(tile[:2], 2)


def removed_and_whole(box, tiles, size, overlap, margin):
    """For each copy of an object: whether the seam rule drops it, whether it is all of it."""
    rows = []
    for index, part in copies(box, tiles):
        tile = tuple(tiles[index].tolist())
        dropped = cut_by_seam(torch.tensor(part)[None], tile, size, overlap, margin).item()
        rows.append((dropped, bool(np.allclose(part[2:] - part[:2], box[2:] - box[:2]))))
    return rows


def random_box(rng, size, longest, whole_pixels):
    length = np.array(size[::-1], dtype=np.float64)
    sides = np.minimum(rng.uniform(1, longest, 2), length)
    if whole_pixels:
        sides = np.floor(sides)
    corner = rng.uniform(0, 1, 2) * (length - sides)
    corner = np.floor(corner) if whole_pixels else corner
    return np.concatenate([corner, corner + sides])


@pytest.mark.parametrize("whole_pixels", [True, False])
def test_seam_rule_leaves_whole_copies_only_of_objects_up_to_the_overlap(whole_pixels):
    rng = np.random.default_rng(5)
    margin, overlap, size = 2.0, 64, (700, 900)
    tiles = plan_tiles(size, 256, overlap)
    seen_cut = 0
    for _ in range(600):
        box = random_box(rng, size, overlap - margin, whole_pixels)
        rows = removed_and_whole(box, tiles, size, overlap, margin)
        assert all(dropped for dropped, whole in rows if not whole), box
        assert any(whole and not dropped for dropped, whole in rows), box
        seen_cut += any(not whole for _, whole in rows)
    assert seen_cut > 100


@pytest.mark.parametrize("overlap", [16, 64, 100])
def test_seam_rule_drops_a_fragment_only_if_a_better_copy_stays(overlap):
    """Objects of any size up to nearly a tile: what stays is whole, or as large as any copy."""
    rng = np.random.default_rng(6)
    margin, size = 2.0, (700, 900)
    tiles = plan_tiles(size, 256, overlap)
    for _ in range(600):
        box = random_box(rng, size, 250, whole_pixels=True)
        rows = removed_and_whole(box, tiles, size, overlap, margin)
        assert not all(dropped for dropped, _ in rows), box
        if any(whole for _, whole in rows):
            assert any(whole and not dropped for dropped, whole in rows), box


def test_an_object_that_just_fits_between_both_seams_is_kept_once_at_least():
    # Two tiles [0, 60) and [40, 100); the object spans the overlap but for the margins.
    tiles = plan_tiles((50, 100), 60, 20, multiple=1)
    for low in (40, 41, 42, 43):
        for high in (57, 58, 59, 60):
            rows = removed_and_whole(np.array([low, 10.0, high, 20]), tiles, (50, 100), 20, 2.0)
            assert not all(dropped for dropped, _ in rows), (low, high)


def test_seam_rule_by_hand():
    tile, size = (40, 0, 100, 60), (60, 200)  # seams at its left and right
    boxes = torch.tensor(
        [
            [0.0, 10, 9, 20],  # a fragment at the left seam
            [51, 10, 60, 20],  # a fragment at the right seam
            [20, 0, 30, 9],  # touches the image's top
            [20, 51, 30, 60],  # touches the image's bottom
            [0, 10, 30, 20],  # reaches beyond the overlap of 20: may have no whole copy
            [20, 20, 30, 30],  # touches nothing
            [0, 0, 60, 60],  # larger than the tile
            [1.5, 10, 9, 20],  # stops short of the edge by less than the margin
        ]
    )
    cut = cut_by_seam(boxes, tile, size, overlap=20, margin=2)
    assert cut.tolist() == [True, True, False, False, False, False, False, True]


def test_a_single_tile_has_no_seams():
    boxes = torch.tensor([[0.0, 0, 5, 5], [0, 0, 64, 64], [60, 60, 64, 64]])
    assert not cut_by_seam(boxes, (0, 0, 64, 64), (64, 64), 16, 2).any()


def test_no_boxes_no_fragments():
    cut = cut_by_seam(torch.zeros(0, 4), (10, 0, 64, 64), (100, 100), 16, 2)
    assert cut.shape == (0,)
    assert cut.dtype == torch.bool


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
        box = random_box(rng, size, side - 2, whole_pixels=False)
        tile = place_on_box(rng, size, box, side, jitter)
        check_tile(tile, size, side)
        assert visible_fraction(box[None], tile)[0] == pytest.approx(1, abs=1e-9), (box, tile)


def test_jitter_moves_the_object_about_the_tile():
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


def test_background_meets_no_object_where_there_is_room():
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
