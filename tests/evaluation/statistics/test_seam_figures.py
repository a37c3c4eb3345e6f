"""One run's figures near the edges of tiles, by hand and against the study of seams."""

import numpy as np
import pytest

from smallobj.evaluation.metrics.seams import compare, join, observe
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.evaluation.statistics.seam_figures import ZONES, with_planned_tiles, zone_figures
from smallobj.geometry.tiling import plan_tiles

# Two tiles of 100 px that share 20 px: edges at x = 80 and x = 100.
TILES = np.array([[0, 0, 100, 100], [80, 0, 180, 100]])


def photograph(boxes, detections=(), crowd=()):
    """A set of one image read in TILES: boxes of labels, and (box, score) rows of detections."""
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    rows = np.array(detections, dtype=np.float64).reshape(-1, 5)
    is_crowd = np.isin(np.arange(len(boxes)), crowd)
    return EvaluationSet(
        [3],
        ["3.jpg"],
        np.array([[100, 180]]),
        ["nut"],
        LabelTable.single_image(boxes, np.zeros(len(boxes)), crowd=is_crowd),
        DetectionTable.single_image(rows[:, :4], rows[:, 4], np.zeros(len(rows))),
        [TILES],
    )


def test_zones_by_hand():
    data = photograph(
        [[10, 10, 20, 20], [40, 10, 50, 20], [60, 40, 75, 50], [90, 60, 110, 80], [0, 80, 9, 89]],
        [
            [10, 10, 20, 20, 0.9],
            [90, 60, 110, 80, 0.9],
            [90, 60, 100, 80, 0.8],  # half of the cut object: a fragment
            [101, 60, 110, 80, 0.3],  # the other half, below the lowest score
        ],
        crowd=[4],
    )
    off, beside, cut = zone_figures(data, 0.5)
    assert [zone.name for zone in (off, beside, cut)] == list(ZONES)
    assert (off.objects, beside.objects, cut.objects) == (2, 1, 1)
    assert (off.recall.value, beside.recall.value, cut.recall.value) == (0.5, 0, 1)
    assert (off.duplicates.value, cut.duplicates.value) == (0, 1)
    assert (off.side, cut.side) == (10, 20)
    # The cut object lies from 90 to 110, in the second tile alone; those off lie in the first.
    assert (off.views, cut.views) == (1, 1)
    assert zone_figures(data, 0.2)[2].duplicates.value == 2


def test_a_zone_without_objects_has_no_figures():
    off, _, cut = zone_figures(photograph([[10, 10, 20, 20]]), 0.5, draws=10)
    assert off.recall.value == 0
    assert cut.objects == 0
    assert np.isnan([cut.side, cut.views, cut.recall.value, cut.duplicates.low]).all()


def test_planned_tiles_are_those_of_the_tiled_detector(random_set):
    data = with_planned_tiles(random_set(0), 60, 20)
    assert len(data.tiles) == len(data.image_ids)
    np.testing.assert_array_equal(data.tiles[1], plan_tiles((100, 100), 60, 20))


@pytest.mark.parametrize("seed", range(4))
def test_sets_give_each_image_back(random_set, seed):
    data = random_set(seed, images=9)
    pairs = list(data.by_image())
    assert len(pairs) == len(data.image_ids)
    for number, (own, found) in enumerate(pairs):
        assert set(own.images) | set(found.images) <= {number}
        np.testing.assert_array_equal(own.boxes, data.labels.boxes[data.labels.images == number])
        rows = data.detections.images == number
        np.testing.assert_array_equal(found.scores, data.detections.scores[rows])
    again = data.with_image_detections(
        dict(zip(data.image_ids, (d for _, d in pairs), strict=True))
    )
    in_order = data.detections[np.argsort(data.detections.images, kind="stable")]
    for name, column in vars(in_order).items():
        np.testing.assert_array_equal(getattr(again.detections, name), column)


def test_means_are_those_of_the_study_of_seams(random_set):
    data = with_planned_tiles(random_set(1, images=40), 60, 20)
    parts, first = [], 0
    for number, (own, found) in enumerate(data.by_image()):
        parts.append(
            observe(
                *(own, found, data.tiles[number], (100, 100)),
                min_score=0.3,
                photograph=number,
                first_object=first,
            )
        )
        first += len(own.boxes)
    seen = join(parts)
    for zone in zone_figures(data, 0.3):
        own = seen.zone == ZONES[zone.name]
        assert zone.objects == own.sum() > 0
        assert zone.recall.value == pytest.approx(seen.found[own].mean())
        assert zone.duplicates.value == pytest.approx(seen.duplicates[own].mean())
    # With one grid no object is seen in two places.
    assert compare(seen, "found").objects == 0


def test_intervals_hold_the_value_and_repeat(random_set):
    data = with_planned_tiles(random_set(2, images=60), 60, 20)
    zones = zone_figures(data, 0.3, draws=200, seed=1)
    for zone in zones:
        assert zone.recall.low < zone.recall.value < zone.recall.high
        assert zone.duplicates.low < zone.duplicates.value < zone.duplicates.high
    assert zones == zone_figures(data, 0.3, draws=200, seed=1)
