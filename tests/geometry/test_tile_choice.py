"""The chosen tile against a slow search over all tiles."""

import numpy as np
import pytest

from smallobj.geometry.tile_choice import choose_tile, lay_out, overlap_for
from smallobj.geometry.tiling import plan_tiles


def fewest(length, tile, overlap):
    """Tiles along an axis, added until the end is reached."""
    count, end = 1, tile
    while end < length:
        count, end = count + 1, end + tile - overlap
    return count


def least_side(length, tile, overlap, multiple):
    """The smallest multiple with which the same number of tiles covers the length."""
    count = fewest(length, tile, overlap)
    for side in range(multiple, length + tile + multiple, multiple):
        if side >= min(tile, length):
            return side
        if side > overlap and fewest(length, side, overlap) == count:
            return side
    raise AssertionError


def slow_choice(sizes, overlap, max_pixels, pass_cost, multiple):
    """(cost, number of tiles) of the best tile side, or None."""
    longest = max(max(size) for size in sizes)
    candidates = []
    for tile in range(overlap + 1, longest + multiple + 1):
        if tile < 2 * overlap and tile < longest:
            continue
        cost, tiles, fits = 0.0, 0, True
        for size in sizes:
            count = fewest(size[0], tile, overlap) * fewest(size[1], tile, overlap)
            h, w = (least_side(length, tile, overlap, multiple) for length in size)
            cost, tiles = cost + count * (h * w + pass_cost), tiles + count
            fits = fits and h * w <= max_pixels
        if fits:
            candidates.append((cost, tiles))
    return min(candidates) if candidates else None


@pytest.mark.parametrize("seed", range(6))
def test_no_tile_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    for _ in range(15):
        sizes = rng.integers(20, 160, (int(rng.integers(1, 4)), 2)).tolist()
        overlap, multiple = int(rng.integers(0, 24)), 8
        max_pixels = int(rng.integers(600, 20000))
        pass_cost = float(rng.choice([0.0, 300.0, 5000.0]))
        best = slow_choice(sizes, overlap, max_pixels, pass_cost, multiple)
        if best is None:
            with pytest.raises(ValueError, match="the budget is"):
                choose_tile(sizes, overlap, max_pixels, pass_cost=pass_cost, multiple=multiple)
            continue
        choice = choose_tile(sizes, overlap, max_pixels, pass_cost=pass_cost, multiple=multiple)
        cost = float((choice.image_pixels + choice.counts * pass_cost).sum())
        assert (cost, int(choice.counts.sum())) == pytest.approx(best)
        assert choice.pass_pixels <= max_pixels
        assert choice.overlap == overlap < choice.tile


def test_the_layout_is_that_of_plan_tiles():
    rng = np.random.default_rng(1)
    for _ in range(200):
        sizes = rng.integers(1, 3000, (3, 2))
        tile = int(rng.integers(64, 1200))
        overlap = int(rng.integers(0, tile // 2))
        layout = lay_out(sizes, tile, overlap)
        for size, count, side in zip(sizes, layout.counts, layout.sides, strict=True):
            tiles = plan_tiles(tuple(size.tolist()), tile, overlap)
            assert count == len(tiles)
            shape = tiles[0, [3, 2]] - tiles[0, [1, 0]]
            assert side.tolist() == (-(-shape // 32) * 32).tolist()


def test_the_challenge_photographs_by_hand():
    # 9 tiles are the fewest with at most 1024 x 1024 pixels; (2800 + 2 x 102) / 3 = 1002 -> 1024
    # wide, (2100 + 2 x 102) / 3 = 768 high.
    choice = choose_tile([(2100, 2800)], 102, 1024**2)
    assert (choice.tile, choice.counts.tolist(), choice.largest_side) == (1024, [9], (768, 1024))


def test_the_whole_image_in_one_pass_as_soon_as_the_budget_allows_it():
    padded = 2112 * 2816
    assert choose_tile([(2100, 2800)], 102, padded).whole
    assert not choose_tile([(2100, 2800)], 102, padded - 1).whole
    assert not choose_tile([(2100, 2800), (2100, 2817)], 102, padded).whole


def test_a_small_image_with_a_large_object_is_one_tile_larger_than_the_overlap():
    choice = choose_tile([(100, 100)], 104, 10**6)
    assert choice.whole
    assert choice.tile == 128


def test_frequent_sizes_decide():
    sizes = [(96, 96), (96, 224)]
    often_small = choose_tile(sizes, 16, 96 * 128, weights=[100, 1])
    often_wide = choose_tile(sizes, 16, 96 * 128, weights=[1, 100])
    for choice in (often_small, often_wide):
        assert choice.pass_pixels <= 96 * 128
    assert often_small.counts[0] == 1
    assert often_wide.counts.tolist() == [1, 2]


def test_each_object_lies_whole_and_off_the_seams():
    rng = np.random.default_rng(2)
    longest, margin, size = 37.5, 2.0, (500, 700)
    overlap = overlap_for(longest, margin)
    assert overlap == 42
    choice = choose_tile([size], overlap, 160**2)
    tiles = plan_tiles(size, choice.tile, overlap)
    assert len(tiles) > 9
    for _ in range(3000):
        sides = np.where(rng.random(2) < 0.5, longest, rng.uniform(1, longest, 2))
        low = rng.uniform(0, np.array(size[::-1]) - sides)
        high = low + sides
        clear_low = (low >= tiles[:, :2] + margin) | (tiles[:, :2] == 0)
        clear_high = (high <= tiles[:, 2:] - margin) | (tiles[:, 2:] == size[::-1])
        assert (clear_low & clear_high).all(axis=1).any()


@pytest.mark.parametrize(
    ("sizes", "overlap", "budget", "message"),
    [
        ([], 10, 100, "at least"),
        ([(0, 5)], 10, 100, "positive"),
        ([(50, 50)], -1, 10**6, "got -1"),
        ([(2100, 2800)], 400, 400**2, r"2 x the overlap \(400 px\).*budget is 160000"),
    ],
)
def test_impossible_plans_say_which_rule_they_break(sizes, overlap, budget, message):
    with pytest.raises(ValueError, match=message):
        choose_tile(sizes, overlap, budget)
