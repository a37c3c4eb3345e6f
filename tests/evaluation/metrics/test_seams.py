"""Objects near seams: geometry by hand and by brute force, ownership, paired comparison."""

import math

import numpy as np
import pytest

from smallobj.evaluation.metrics.seams import (
    BESIDE,
    CUT,
    OFF,
    Observations,
    compare,
    count_views,
    find_owners,
    interior_edges,
    join,
    observe,
    seam_zones,
    sign_test,
)
from smallobj.evaluation.reading.tables import DetectionTable, LabelTable

TILES = np.array([[0, 0, 60, 50], [40, 0, 100, 50]])
SIZE = (50, 100)


def labels(boxes, classes=None, crowd=()):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    is_crowd = np.isin(np.arange(len(boxes)), crowd)
    categories = np.zeros(len(boxes), np.int64) if classes is None else np.array(classes)
    return LabelTable.single_image(boxes, categories, crowd=is_crowd)


def detections(boxes, scores=None, classes=None):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return DetectionTable.single_image(
        boxes,
        np.full(len(boxes), 0.9) if scores is None else np.array(scores),
        np.zeros(len(boxes), np.int64) if classes is None else np.array(classes),
    )


def test_edges_inside_the_image_only():
    assert interior_edges(TILES, SIZE).tolist() == [[40, 0, 40, 50], [60, 0, 60, 50]]
    assert interior_edges(np.array([[0, 0, 100, 50]]), SIZE).shape == (0, 4)
    assert interior_edges(np.zeros((0, 4)), SIZE).shape == (0, 4)


def test_zones_by_hand():
    boxes = np.array(
        [
            [35, 10, 45, 20],  # the edge at 40 runs through it
            [46, 10, 56, 20],  # 4 px before the edge at 60, 10 px long
            [30, 10, 40, 20],  # touches an edge, which leaves it whole
            [20, 10, 30, 20],  # as far from the edge as it is long
            [19, 10, 29, 20],  # a pixel further
            [0, 0, 5, 5],  # at the border of the image, which is no seam
            [0, 0, 100, 50],  # the whole image
        ],
        float,
    )
    assert seam_zones(boxes, TILES, SIZE).tolist() == [CUT, BESIDE, BESIDE, BESIDE, OFF, OFF, CUT]


def test_an_edge_ends_where_its_tile_ends():
    tiles = np.array([[0, 0, 60, 60]])
    # From the tile's corner at (60, 60) they are 5 px and a little more away.
    boxes = np.array([[63, 64, 68, 69], [64, 64, 69, 69], [62, 10, 64, 12]], float)
    assert seam_zones(boxes, tiles, (100, 100)).tolist() == [BESIDE, OFF, BESIDE]


def slow_zone(box, tiles, size):
    """Tries all whole points of the box and of each edge."""
    x0, y0, x1, y1 = (int(v) for v in box)
    ys, xs = np.mgrid[y0 : y1 + 1, x0 : x1 + 1].reshape(2, -1)
    nearest, cut = math.inf, False
    for a, b, c, d in tiles.tolist():
        sides = [(x, True) for x in (a, c) if 0 < x < size[1]]
        sides += [(y, False) for y in (b, d) if 0 < y < size[0]]
        for at, upright in sides:
            for along in range(*((b, d + 1) if upright else (a, c + 1))):
                x, y = (at, along) if upright else (along, at)
                nearest = min(nearest, np.hypot(xs - x, ys - y).min())
                if along < (d if upright else c):
                    u, v = (at, along + 0.5) if upright else (along + 0.5, at)
                    cut |= x0 < u < x1 and y0 < v < y1
    return CUT if cut else BESIDE if nearest <= max(x1 - x0, y1 - y0) else OFF


def test_zones_against_brute_force():
    rng = np.random.default_rng(0)
    tiles = np.array([[0, 0, 30, 25], [20, 0, 60, 25], [0, 15, 30, 50], [33, 31, 48, 44]])
    corner = rng.integers(0, (50, 40), (120, 2))
    boxes = np.hstack([corner, corner + rng.integers(1, 8, (120, 2))]).astype(float)
    expected = [slow_zone(box, tiles, (50, 60)) for box in boxes]
    assert seam_zones(boxes, tiles, (50, 60)).tolist() == expected
    assert set(expected) == {OFF, BESIDE, CUT}


def test_views_by_hand():
    boxes = np.array([[0, 0, 10, 10], [40, 0, 60, 50], [30, 0, 50, 10], [30, 0, 70, 10]], float)
    assert count_views(boxes, TILES).tolist() == [1, 2, 1, 0]
    assert count_views(np.zeros((0, 4)), TILES).shape == (0,)
    assert count_views(boxes, np.zeros((0, 4))).tolist() == [0, 0, 0, 0]


def test_owners_by_hand():
    truth = labels(
        [[10, 10, 30, 30], [14, 14, 20, 20], [60, 10, 80, 30], [60, 30, 80, 50]], crowd=[3]
    )
    found = detections(
        [
            [10, 10, 30, 30],  # the first object
            [10, 10, 30, 20],  # its upper half, IoU just 0.5
            [10, 10, 14, 30],  # a fragment of it
            [14, 14, 20, 20],  # lies in the first one, but is the second
            [60, 10, 80, 30],  # another class
            [60, 10, 80, 30],  # not sure enough
            [60, 24, 70, 34],  # 60% inside, IoU below 0.5
            [60, 23, 70, 33],  # 70% inside
            [60, 30, 80, 50],  # a crowd
            [90, 10, 95, 20],  # nothing
        ],
        scores=[0.9] * 5 + [0.29] + [0.3] * 4,
        classes=[0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
    )
    owner, iou = find_owners(truth, found, 0.3)
    assert owner.tolist() == [0, 0, 0, 1, -1, -1, -1, 2, -1, -1]
    assert iou == pytest.approx([1, 0.5, 0.2, 1, 0, 0, 0, 70 / 430, 0, 0])


def test_no_objects_or_no_detections():
    none = find_owners(labels([]), detections([[0, 0, 5, 5]]), 0.0)
    assert [part.tolist() for part in none] == [[-1], [0]]
    none = find_owners(labels([[0, 0, 5, 5]]), detections([]), 0.0)
    assert [part.shape for part in none] == [(0,), (0,)]
    empty = detections([[3, 3, 3, 3]])
    assert find_owners(labels([[0, 0, 5, 5]]), empty, 0.0)[0].tolist() == [-1]


def slow_owner(truth, box, score, category, min_score):
    best, chosen = 0.0, -1
    for number, other in enumerate(truth.boxes):
        width = min(box[2], other[2]) - max(box[0], other[0])
        height = min(box[3], other[3]) - max(box[1], other[1])
        if score < min_score or category != truth.categories[number] or truth.crowd[number]:
            continue
        if width <= 0 or height <= 0:
            continue
        own = (box[2] - box[0]) * (box[3] - box[1])
        area = (other[2] - other[0]) * (other[3] - other[1])
        iou = width * height / (own + area - width * height)
        if (iou >= 0.5 or width * height / own >= 0.7) and iou > best:
            best, chosen = iou, number
    return chosen


def test_owners_against_a_slow_reference():
    rng = np.random.default_rng(1)

    def some(count):
        corner = rng.integers(0, 30, (count, 2))
        return np.hstack([corner, corner + rng.integers(1, 25, (count, 2))])

    owned = 0
    for _ in range(30):
        truth = labels(some(8), rng.integers(0, 2, 8), crowd=[3])
        found = detections(some(60), rng.choice([0.1, 0.3, 0.8], 60), rng.integers(0, 2, 60))
        owner, _ = find_owners(truth, found, 0.3)
        rows = zip(found.boxes, found.scores, found.categories, strict=True)
        assert owner.tolist() == [slow_owner(truth, *row, 0.3) for row in rows]
        owned += (owner >= 0).sum()
    assert owned > 100


def test_what_became_of_each_object():
    truth = labels([[35, 10, 45, 20], [0, 30, 9, 39], [80, 10, 90, 20], [5, 5, 9, 9]], crowd=[3])
    found = detections([[35, 10, 45, 20], [35, 10, 40, 20], [0, 30, 4, 39], [4, 30, 8, 39]])
    seen = observe(truth, found, TILES, SIZE, min_score=0.5, photograph=3, first_object=7)
    assert seen.photograph.tolist() == [3, 3, 3]
    assert seen.object.tolist() == [7, 8, 9]
    assert seen.zone.tolist() == [CUT, OFF, OFF]
    assert seen.views.tolist() == [1, 1, 1]
    # Two halves of the second: a duplicate, and still nothing that counts as found.
    assert seen.found.tolist() == [True, False, False]
    assert seen.duplicates.tolist() == [1, 1, 0]


def observations(rows):
    """From (photograph, object, zone, found) tuples."""
    photograph, number, zone, found = (np.array(column) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), np.int64)
    return Observations(photograph, number, zone, zeros, found.astype(bool), zeros)


ROWS = [
    *[(0, 0, OFF, 1), (0, 0, OFF, 0), (0, 0, CUT, 0)],  # 0.5 off, 0 near
    *[(0, 1, OFF, 1), (0, 1, BESIDE, 1), (0, 1, CUT, 0)],  # 1 off, 0.5 near
    *[(1, 2, OFF, 0), (1, 2, BESIDE, 1)],  # 0 off, 1 near
    *[(1, 3, OFF, 1), (1, 4, CUT, 1)],  # seen in one place only
]


def test_the_same_objects_are_compared():
    result = compare(observations(ROWS), "found")
    assert result.objects == 3
    assert result.off == pytest.approx(0.5)
    assert result.near == pytest.approx(0.5)
    assert result.difference == pytest.approx(0)
    assert (result.higher, result.lower, result.p_value) == (1, 2, 1.0)
    # Of two photographs drawn with replacement both are the first one, with -0.5, or the
    # second, with +1, in a quarter of the cases each.
    assert (result.low, result.high) == pytest.approx((-0.5, 1))
    cut = compare(observations(ROWS), "found", zones=(CUT,))
    assert (cut.objects, cut.near, cut.off, cut.lower) == (2, 0, 0.75, 2)
    assert (cut.low, cut.high) == pytest.approx((-0.75, -0.75))


def test_nothing_to_compare():
    for rows in ([(0, 0, OFF, 1), (0, 1, CUT, 1)], [(0, 0, OFF, 1)]):
        result = compare(observations(rows), "found")
        assert (result.objects, result.p_value) == (0, 1.0)
        assert math.isnan(result.low)
        assert math.isnan(result.difference)
    with pytest.raises(ValueError, match="at least one photograph"):
        join([])


def test_the_interval_is_that_of_many_independent_photographs():
    rng = np.random.default_rng(2)
    rows = []
    for number in range(400):
        near, off = rng.random(2) < (0.6, 0.7)
        rows += [(number, number, CUT, near), (number, number, OFF, off)]
    result = compare(observations(rows), "found", resamples=4000)
    delta = np.array([rows[k][3] * 1.0 - rows[k + 1][3] for k in range(0, 800, 2)])
    half = 1.96 * delta.std() / math.sqrt(400)
    assert result.low == pytest.approx(delta.mean() - half, abs=0.01)
    assert result.high == pytest.approx(delta.mean() + half, abs=0.01)
    assert result == compare(observations(rows), "found", resamples=4000)
    # Ten copies of each object in its photograph tell nothing new, and do not narrow it.
    copies = [(p, p * 10 + k, z, f) for p, _, z, f in rows for k in range(10)]
    again = compare(observations(copies), "found", resamples=4000)
    assert (again.low, again.high) == pytest.approx((result.low, result.high))


@pytest.mark.parametrize(
    ("higher", "lower", "p"),
    [(0, 0, 1), (1, 1, 1), (5, 0, 2 / 32), (0, 5, 2 / 32), (3, 1, 10 / 16), (2, 3, 1)],
)
def test_sign_test_by_hand(higher, lower, p):
    assert sign_test(higher, lower) == pytest.approx(p)


def test_sign_test_of_thousands():
    assert 0 < sign_test(1100, 900) < 1e-4
    assert sign_test(1000, 1000) == 1
