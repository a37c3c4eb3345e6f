"""Reliability bins and expected calibration error: by hand, and against plain loops."""

import itertools

import numpy as np
import pytest

from smallobj.evaluation.metrics.calibration import class_reliability, reliability
from smallobj.evaluation.metrics.curves import Ranking
from smallobj.evaluation.metrics.matching import match_detections
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def ranking_of(scores, right):
    order = np.argsort(-np.array(scores), kind="stable")
    nothing = np.arange(len(order))
    return Ranking(
        np.array(scores, dtype=np.float64)[order],
        np.array(right, dtype=bool)[order],
        nothing,
        nothing,
        nothing,
    )


def test_by_hand():
    """Four of .8, of which three are right; one of .1 and one of .2, both wrong."""
    bins = reliability(ranking_of([0.8] * 4 + [0.1, 0.2], [1, 1, 1, 0, 0, 0]), 2)
    assert bins.low.tolist() == [0, 0.5]
    assert bins.high.tolist() == [0.5, 1]
    assert bins.detections.tolist() == [2, 4]
    np.testing.assert_allclose(bins.score, [0.15, 0.8])
    np.testing.assert_allclose(bins.precision, [0, 0.75])
    assert bins.expected_error == pytest.approx((2 * 0.15 + 4 * 0.05) / 6)
    assert bins.largest_error == pytest.approx(0.15)


def test_a_score_on_a_bound_belongs_to_the_bin_below():
    bins = reliability(ranking_of([m / 10 for m in range(11)], [0] * 11), 10)
    assert bins.detections.tolist() == [2] + [1] * 9


def test_equal_mass_by_hand():
    scores = [0.01, 0.02, 0.03, 0.04, 0.5, 0.9]
    bins = reliability(ranking_of(scores, [0, 0, 0, 1, 1, 1]), 3, "mass")
    assert bins.detections.tolist() == [2, 2, 2]
    assert bins.high.tolist() == [0.02, 0.04, 1]
    np.testing.assert_allclose(bins.score, [0.015, 0.035, 0.7])
    np.testing.assert_allclose(bins.precision, [0, 0.5, 1])
    assert bins.expected_error == pytest.approx((0.015 + 0.465 + 0.3) / 3)


def test_equal_mass_keeps_equal_scores_together():
    tied = reliability(ranking_of([0.1] * 8 + [0.7, 0.9], [0] * 10), 5, "mass")
    assert tied.detections.tolist() == [8, 2]
    one = reliability(ranking_of([0.4] * 7, [1] * 7), 5, "mass")
    assert one.detections.tolist() == [7]
    assert one.expected_error == pytest.approx(0.6)


def slow_error(ranking, bounds):
    total, error = len(ranking.scores), 0.0
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        inside = [
            i
            for i, score in enumerate(ranking.scores)
            if (low < score <= high) or (number == 0 and score == low)
        ]
        if inside:
            mean = sum(ranking.scores[i] for i in inside) / len(inside)
            share = sum(bool(ranking.right[i]) for i in inside) / len(inside)
            error += abs(mean - share) * len(inside) / total
    return error


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_against_loops(digits):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = rng.random(200).round(digits)
        ranking = ranking_of(scores, rng.random(200) < scores**2)
        for number in (1, 7, 10, 15):
            bins = reliability(ranking, number)
            bounds = [m / number for m in range(number + 1)]
            assert bins.expected_error == pytest.approx(slow_error(ranking, bounds))
            mass = reliability(ranking, number, "mass")
            assert mass.detections.sum() == 200
            assert (mass.detections > 0).all()
            bounds = [*mass.low.tolist(), 1.0]
            assert mass.expected_error == pytest.approx(slow_error(ranking, bounds))
            if digits == 9:
                assert np.ptp(mass.detections) <= 1


def test_scores_that_are_probabilities_have_a_small_error():
    rng = np.random.default_rng(0)
    scores = rng.random(50_000)
    right = rng.random(50_000) < scores
    for spacing in ("width", "mass"):
        assert reliability(ranking_of(scores, right), spacing=spacing).expected_error < 0.01
        twice = ranking_of(scores, rng.random(50_000) < scores / 2)
        assert reliability(twice, spacing=spacing).expected_error == pytest.approx(0.25, abs=0.01)


def test_weights_are_repeated_detections():
    rng = np.random.default_rng(1)
    scores, right = rng.random(50).round(2), rng.random(50) < 0.5
    ranking = ranking_of(scores, right)
    times = rng.integers(0, 4, 50)
    again = Ranking(*(np.repeat(column, times) for column in ranking))
    for spacing in ("width", "mass"):
        weighted = reliability(ranking, 6, spacing, times)
        repeated = reliability(again, 6, spacing)
        for a, b in zip(weighted, repeated, strict=True):
            np.testing.assert_allclose(a, b)


def test_classes_and_ignored_detections():
    box = np.array([0.0, 0, 10, 10])
    labels = LabelTable(
        np.zeros(2, int),
        np.array([0, 1]),
        np.stack([box, box + 50]),
        np.full(2, 100.0),
        np.array([False, True]),
    )
    # Right for class 0; in the crowd of class 1, so ignored; wrong for class 1.
    detections = DetectionTable(
        np.zeros(3, int),
        np.array([0, 1, 1]),
        np.stack([box, box + 50, box]),
        np.array([0.9, 0.7, 0.6]),
    )
    data = EvaluationSet([0], ["a"], np.full((1, 2), 99), ["a", "b"], labels, detections)
    (first, second), together = class_reliability(data, match_detections(data), 10)
    assert first.expected_error == pytest.approx(0.1)
    assert second.detections.sum() == 1
    assert second.expected_error == pytest.approx(0.6)
    assert together.expected_error == pytest.approx((0.1 + 0.6) / 2)


def test_no_detections():
    for spacing in ("width", "mass"):
        bins = reliability(ranking_of([], []), 3, spacing)
        assert bins.detections.sum() == 0
        assert np.isnan(bins.expected_error)
        assert np.isnan(bins.largest_error)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="num_bins must be at least 1; got 0"):
        reliability(ranking_of([0.5], [1]), 0)
    with pytest.raises(ValueError, match=r"spacing must be one of \['width', 'mass'\]; got 'log'"):
        reliability(ranking_of([0.5], [1]), 5, "log")
    with pytest.raises(ValueError, match=r"scores from 0 to 1, got 1\.5"):
        reliability(ranking_of([1.5], [1]))
