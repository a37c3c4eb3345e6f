"""Misses against false positives per image: by hand, and against plain loops."""

import numpy as np
import pytest

from smallobj.evaluation.metrics.curves import Ranking, pooled_ranking
from smallobj.evaluation.metrics.matching import match_detections
from smallobj.evaluation.metrics.misses import (
    FROC_RATES,
    LAMR_RATES,
    empty_images,
    froc_score,
    log_average_miss_rate,
    miss_curve,
    miss_rates,
    sensitivities,
)
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def ranking_of(scores, right, labels, images=None):
    scores = np.array(scores, dtype=np.float64)
    images = np.zeros(len(scores), np.int64) if images is None else np.array(images)
    return Ranking(
        scores,
        np.array(right, dtype=bool),
        images,
        np.arange(len(scores)),
        np.zeros(labels, np.int64),
    )


def test_by_hand():
    """Four images, three labels: right, wrong, right, wrong, wrong."""
    curve = miss_curve(ranking_of([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 0], 3), 4)
    np.testing.assert_allclose(curve.false_positives, [0, 1 / 4, 1 / 4, 2 / 4, 3 / 4])
    np.testing.assert_allclose(curve.miss_rate, [2 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 3])
    # Six of the nine rates are under 1/4: .01, .018, .032, .056, .1, .178.
    np.testing.assert_allclose(miss_rates(curve), [2 / 3] * 6 + [1 / 3] * 3)
    assert log_average_miss_rate(curve) == pytest.approx((2 / 3) ** (6 / 9) * (1 / 3) ** (3 / 9))
    np.testing.assert_allclose(sensitivities(curve), [1 / 3] + [2 / 3] * 6)
    assert froc_score(curve) == pytest.approx((1 / 3 + 6 * 2 / 3) / 7)


def test_rates_are_those_of_the_papers():
    np.testing.assert_allclose(LAMR_RATES, np.logspace(-2, 0, 9), rtol=1e-15)
    assert (LAMR_RATES[0], LAMR_RATES[4], LAMR_RATES[8]) == (0.01, 0.1, 1.0)
    assert FROC_RATES == (0.125, 0.25, 0.5, 1, 2, 4, 8)


def test_a_rate_that_is_met_exactly_counts():
    curve = miss_curve(ranking_of([0.9, 0.8], [0, 1], 1), 100)
    assert miss_rates(curve).tolist() == [0] * 9
    assert log_average_miss_rate(curve) == pytest.approx(1e-10)
    assert (
        miss_rates(miss_curve(ranking_of([0.9, 0.8], [0, 1], 1), 10)).tolist() == [1] * 4 + [0] * 5
    )


def test_the_first_false_positives_come_before_anything_is_right():
    """At two false positives in the one image nothing can be shown at the nine rates."""
    curve = miss_curve(ranking_of([0.9, 0.9, 0.9], [0, 0, 1], 1), 1)
    assert log_average_miss_rate(curve) == 1
    # From (0, 0) to (2, 1) in a straight line.
    np.testing.assert_allclose(sensitivities(curve), [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1, 1])


def test_nothing_found_and_nothing_to_find():
    nothing = miss_curve(ranking_of([], [], 2), 3)
    assert log_average_miss_rate(nothing) == 1
    assert froc_score(nothing) == 0
    for scores, right in [([], []), ([0.5], [0])]:
        no_labels = miss_curve(ranking_of(scores, right, 0), 3)
        assert np.isnan(no_labels.miss_rate).all()
    assert np.isnan(log_average_miss_rate(no_labels))
    assert np.isnan(froc_score(no_labels))
    with pytest.raises(ValueError, match="need at least one image, got 0"):
        miss_curve(ranking_of([], [], 0), 0)


def slow_point(ranking, images, rate):
    """Lowest miss rate of all thresholds with no more false positives per image than the rate."""
    best = 1.0
    for threshold in set(ranking.scores.tolist()):
        shown = [i for i, score in enumerate(ranking.scores) if score >= threshold]
        wrong = sum(not ranking.right[i] for i in shown)
        if wrong / images <= rate:
            found = sum(bool(ranking.right[i]) for i in shown)
            best = min(best, 1 - found / len(ranking.label_images))
    return best


@pytest.mark.parametrize("digits", [1, 6])
def test_miss_rates_against_loops(digits):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = np.sort(rng.random(60).round(digits))[::-1]
        ranking = ranking_of(scores, rng.random(60) < 0.4, 40)
        images = int(rng.integers(3, 80))
        curve = miss_curve(ranking, images)
        expected = [slow_point(ranking, images, rate) for rate in LAMR_RATES]
        np.testing.assert_allclose(miss_rates(curve), expected, atol=1e-12)
        assert log_average_miss_rate(curve) == pytest.approx(
            np.prod(np.maximum(expected, 1e-10)) ** (1 / 9)
        )
        if digits == 6:  # no ties: a staircase, on which interpolation changes nothing
            steps = [1 - slow_point(ranking, images, rate) for rate in FROC_RATES]
            np.testing.assert_allclose(sensitivities(curve), steps, atol=1e-12)


def test_sensitivities_interpolate_as_numpy_does_between_points():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = np.sort(rng.random(80).round(1))[::-1]
        curve = miss_curve(ranking_of(scores, rng.random(80) < 0.4, 50), 7)
        x = np.append(0, curve.false_positives)
        rates = rng.uniform(0, x[-1] * 1.2, 50)  # never exactly at a point
        expected = np.interp(rates, x, np.append(0, 1 - curve.miss_rate))
        np.testing.assert_allclose(sensitivities(curve, rates), expected, atol=1e-12)


def test_weights_count_images():
    ranking = ranking_of([0.9, 0.8, 0.7], [1, 0, 0], 2, images=[0, 1, 2])
    curve = miss_curve(ranking, 3, np.array([1, 2, 0]))
    np.testing.assert_allclose(curve.false_positives, [0, 2 / 3, 2 / 3])
    np.testing.assert_allclose(curve.miss_rate, [1 / 2] * 3)


def test_false_positives_on_images_without_labels():
    box = np.array([[0.0, 0, 10, 10]])
    labels = LabelTable(
        np.array([0, 3]),
        np.zeros(2, int),
        np.tile(box, (2, 1)),
        np.full(2, 100.0),
        np.arange(2) > 0,
    )
    # Image 3 has a crowd only; images 1, 2 and 4 have nothing.
    detections = DetectionTable(
        np.array([0, 0, 1, 1, 2, 3]),
        np.zeros(6, int),
        np.tile(box, (6, 1)) + np.array([0, 90, 0, 0, 0, 90])[:, None],
        np.array([0.9, 0.9, 0.8, 0.5, 0.5, 0.9]),
    )
    ids = list(range(5))
    sizes = np.full((5, 2), 100)
    data = EvaluationSet(ids, [str(i) for i in ids], sizes, ["a"], labels, detections)
    ranking = pooled_ranking(data, match_detections(data))
    assert empty_images(data, ranking, 0.5) == (3, 3, 2)
    assert empty_images(data, ranking, 0.6) == (3, 1, 1)
    assert empty_images(data, ranking, 0.95) == (3, 0, 0)
