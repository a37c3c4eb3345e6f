"""Choosing regions from a heat map."""

import itertools

import numpy as np
import pytest

from smallobj.geometry.regions import area_share, choose_regions, lies_whole_in_any

SIZE = (640, 960)
STRIDE = 16


def choose(heat, size=SIZE, threshold=0.5, window=192, margin=48):
    """Chooses regions with one kind of window."""
    side = np.full(heat.shape, 1000.0)
    options = {"windows": (window,), "margins": (margin,), "max_area": np.inf}
    options["threshold"] = threshold
    return choose_regions(heat, side, STRIDE, size, **options)


def choose_kinds(heat, side, size=SIZE, max_area=np.inf):
    options = {"threshold": 0.5, "windows": (96, 192), "margins": (24, 56), "max_area": max_area}
    return choose_regions(heat, side, STRIDE, size, **options)


def heat_with(*cells, size=SIZE):
    heat = np.zeros((-(-size[0] // STRIDE), -(-size[1] // STRIDE)), np.float32)
    for row, column in cells:
        heat[row, column] = 0.9
    return heat


def grown_cell(row, column, margin, size):
    x, y = column * STRIDE, row * STRIDE
    low = np.maximum([x - margin, y - margin], 0)
    high = np.minimum([x + STRIDE + margin, y + STRIDE + margin], [size[1], size[0]])
    return np.concatenate([low, high])[None]


def test_nothing_hot_gives_no_region():
    regions = choose(heat_with())
    assert regions.shape == (0, 4)
    assert regions.dtype == np.int64


def test_a_single_cell_is_in_the_middle_of_its_region():
    assert choose(heat_with((20, 30))).tolist() == [[392, 232, 584, 424]]


def test_a_threshold_is_reached_by_equality():
    heat = heat_with()
    heat[5, 5] = 0.25
    assert len(choose(heat, threshold=0.25)) == 1
    assert len(choose(heat, threshold=0.26)) == 0


def test_cells_that_fit_together_share_a_region():
    # 192 px hold (192 - 2 x 48) / 16 = 6 cells.
    assert len(choose(heat_with((10, 10), (15, 15)))) == 1
    assert len(choose(heat_with((10, 10), (15, 16)))) == 2
    # The first cell shares a window with a cell below it on the left.
    assert len(choose(heat_with((10, 10), (12, 7)))) == 1


def test_a_region_at_the_border_stays_inside_and_keeps_its_size():
    regions = choose(heat_with((0, 0), (39, 59)))
    assert regions.tolist() == [[0, 0, 192, 192], [768, 448, 960, 640]]


@pytest.mark.parametrize("size", [(100, 150), (100, 500), (500, 100), (191, 193)])
def test_images_smaller_than_a_window(size):
    rows, columns = -(-size[0] // STRIDE), -(-size[1] // STRIDE)
    regions = choose(np.ones((rows, columns)), size)
    sides = regions[:, 2:] - regions[:, :2]
    assert (sides == [min(192, size[1]), min(192, size[0])]).all()
    assert (regions >= 0).all()
    assert (regions[:, 2:] <= [size[1], size[0]]).all()
    for row, column in itertools.product(range(rows), range(columns)):
        box = grown_cell(row, column, 48, size)
        assert lies_whole_in_any(box, regions, size, 0).all()


@pytest.mark.parametrize("share", [0.002, 0.02, 0.3, 1.0])
@pytest.mark.parametrize(("window", "margin"), [(192, 48), (128, 56), (256, 0)])
@pytest.mark.parametrize("size", [(640, 960), (611, 933)])
def test_every_hot_cell_lies_whole_with_its_margin_in_one_region(share, window, margin, size):
    rng = np.random.default_rng(1)
    hot = rng.random((-(-size[0] // STRIDE), -(-size[1] // STRIDE))) < share
    regions = choose(hot.astype(float), size, window=window, margin=margin)
    assert ((regions[:, 2:] - regions[:, :2]) == window).all()
    assert (regions >= 0).all()
    assert (regions[:, 2:] <= [size[1], size[0]]).all()
    for row, column in np.argwhere(hot):
        box = grown_cell(row, column, margin, size)
        assert lies_whole_in_any(box, regions, size, 0).all()


def fewest(cells, reach):
    """The least number of reach x reach squares that contain all cells, by brute force."""
    starts = {(y - dy, x - dx) for y, x in cells for dy in range(reach) for dx in range(reach)}
    covers = {
        sum(1 << i for i, c in enumerate(cells) if 0 <= c[0] - y < reach and 0 <= c[1] - x < reach)
        for y, x in starts
    }
    least = {0: 0}  # of each set of cells, as bits
    for _ in cells:
        for held, count in list(least.items()):
            for cover in covers:
                least[held | cover] = min(count + 1, least.get(held | cover, len(cells)))
    return least[(1 << len(cells)) - 1]


def test_regions_are_few():
    rng = np.random.default_rng(4)
    ours, least = 0, 0
    for _ in range(40):
        cells = [tuple(c) for c in np.unique(rng.integers(5, 17, (6, 2)), axis=0).tolist()]
        ours += len(choose(heat_with(*cells), window=144, margin=48))
        least += fewest(cells, 3)
    assert least <= ours <= 1.1 * least


def test_a_long_bar_is_covered_by_touching_regions():
    regions = choose(heat_with(*[(20, column) for column in range(5, 29)]))
    assert len(regions) == 4
    assert (np.diff(regions[:, 0]) == 96).all()


def test_small_objects_get_small_windows():
    heat = heat_with((10, 10), (10, 40))
    side = np.zeros_like(heat)
    side[10, 10], side[10, 40] = 24, 25
    regions = choose_kinds(heat, side)
    assert (regions[:, 2:] - regions[:, :2]).tolist() == [[192, 192], [96, 96]]
    assert regions[1].tolist() == [120, 120, 216, 216]


def test_a_large_window_serves_the_small_objects_in_it():
    heat = heat_with((20, 20), (20, 23), (20, 24))
    side = np.zeros_like(heat)
    side[20, 20] = 90
    # The large window spans x from 232 to 424; (20, 23) and its 24 px end at 408, (20, 24) at 424.
    assert len(choose_kinds(heat, side)) == 1
    heat[20, 25] = 0.9
    assert len(choose_kinds(heat, side)) == 2


@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_every_hot_cell_has_the_margin_of_its_kind(share):
    rng = np.random.default_rng(2)
    heat = (rng.random((40, 60)) < share).astype(float)
    side = rng.uniform(5, 100, heat.shape)
    regions = choose_kinds(heat, side)
    for row, column in np.argwhere(heat):
        box = grown_cell(row, column, 24 if side[row, column] <= 24 else 56, SIZE)
        assert lies_whole_in_any(box, regions, SIZE, 0).all()


@pytest.mark.parametrize(
    ("windows", "margins", "message"),
    [
        ((96,), (48,), "at least 16 .* got 96 and 48"),
        ((96, 192), (48,), "equally many numbers"),
        ((192, 96), (24, 24), "from small to large"),
        ((96, 192), (24, 16), "from small to large"),
        ((96,), (-1,), "not be negative"),
        ((), (), "equally many numbers"),
    ],
)
def test_inconsistent_windows_are_refused(windows, margins, message):
    heat = heat_with()
    with pytest.raises(ValueError, match=message):
        choose_regions(
            heat, heat, 16, SIZE, threshold=0.5, windows=windows, margins=margins, max_area=1
        )


@pytest.mark.parametrize("max_area", [0.01, 0.1, 0.3, 0.9])
def test_the_coolest_cells_are_dropped_where_windows_exceed_the_area(max_area):
    rng = np.random.default_rng(3)
    heat = np.where(rng.random((40, 60)) < 0.05, rng.uniform(0.5, 1, (40, 60)), 0)
    side = rng.uniform(5, 100, heat.shape)
    assert area_share(choose_kinds(heat, side), SIZE) > 1
    regions = choose_kinds(heat, side, max_area=max_area)
    assert area_share(regions, SIZE) <= max_area
    given_up = []
    for row, column in np.argwhere(heat):
        box = grown_cell(row, column, 24 if side[row, column] <= 24 else 56, SIZE)
        if not lies_whole_in_any(box, regions, SIZE, 0).all():
            given_up.append(heat[row, column])
    hottest = max(given_up)
    # All cells hotter than the hottest dropped one are covered; one more would exceed the area.
    assert area_share(choose_kinds(np.where(heat > hottest, heat, 0), side), SIZE) <= max_area
    assert area_share(choose_kinds(np.where(heat >= hottest, heat, 0), side), SIZE) > max_area


def test_an_area_below_one_window_gives_no_region():
    heat = heat_with((20, 20))
    assert len(choose_kinds(heat, heat * 100, max_area=0.01)) == 0


def test_a_box_lies_whole_with_a_distance_to_the_edges():
    region = np.array([[100, 100, 200, 200]])
    boxes = np.array([[104, 104, 196, 196], [103, 104, 150, 150], [110, 110, 201, 150]], float)
    assert lies_whole_in_any(boxes, region, SIZE, 4).tolist() == [True, False, False]
    assert lies_whole_in_any(boxes, region, SIZE, 3).tolist() == [True, True, False]
    assert lies_whole_in_any(boxes, np.zeros((0, 4)), SIZE, 0).tolist() == [False] * 3
    assert lies_whole_in_any(boxes[:0], region, SIZE, 0).shape == (0,)


def test_no_distance_is_needed_at_the_images_border():
    region = np.array([[0, 0, 100, 100]])
    box = np.array([[0.0, 1.0, 50.0, 50.0]])
    assert lies_whole_in_any(box, region, SIZE, 4).all()
    assert not lies_whole_in_any(box, region + np.array([1, 0, 1, 0]), SIZE, 4).any()


def test_a_box_halved_by_two_regions_is_not_whole():
    regions = np.array([[0, 0, 100, 100], [100, 0, 200, 100]])
    assert not lies_whole_in_any(np.array([[90.0, 10, 110, 30]]), regions, SIZE, 0).any()


def test_overlaps_count_twice():
    regions = np.array([[0, 0, 96, 64], [0, 0, 96, 64]])
    assert area_share(regions, SIZE) == pytest.approx(2 * 96 * 64 / (640 * 960))
    assert area_share(regions[:0], SIZE) == 0
