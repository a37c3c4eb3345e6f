"""The bootstrap: draws, intervals, and how often they hold the truth."""

import numpy as np
import pytest

from smallobj.evaluation.metrics.curves import Ranking, average_precision, class_average_precision
from smallobj.evaluation.metrics.headline import HeadlineFigures, pooled_figures
from smallobj.evaluation.statistics.bootstrap import (
    draw_weights,
    draws_without,
    headline_intervals,
    percentile_interval,
    reflected_interval,
)


def simulated(rng, images, per_image=6):
    """A ranking of photographs that are easy or hard as a whole, some without labels.

    Labels of a photograph share its luck, so drawing labels for images would be too sure.
    """
    labels = rng.integers(0, per_image + 1, images)
    ease = rng.beta(2, 1.5, images)
    label_images = np.repeat(np.arange(images), labels)
    found = rng.random(len(label_images)) < ease[label_images]
    hits = label_images[found]
    noise = np.repeat(np.arange(images), rng.poisson(1.5, images))
    scores = np.concatenate([rng.beta(3, 2, len(hits)), rng.beta(2, 3, len(noise))])
    order = np.argsort(-scores)
    return Ranking(
        scores[order],
        (np.arange(len(scores)) < len(hits))[order],
        np.concatenate([hits, noise])[order],
        order,
        label_images,
    )


@pytest.fixture(scope="module")
def truth():
    """AP and F1 of so many photographs that their own error doesn't matter."""
    ranking = simulated(np.random.default_rng(99), 60_000)
    f1 = pooled_figures(ranking, np.ones((1, 60_000))).f1[0]
    return float(average_precision(ranking)), float(f1)


def test_intervals_hold_the_truth_about_as_often_as_they_say(truth):
    """200 small data sets of one population: 95% intervals of AP and F1."""
    rng = np.random.default_rng(5)
    held = np.zeros((200, 2), dtype=bool)
    for number in range(len(held)):
        ranking = simulated(rng, 80)
        weights = draw_weights(80, 200, seed=number)
        once = np.ones((1, 80))
        ap, f1 = (
            reflected_interval(float(of(ranking, once)[0]), of(ranking, weights))
            for of in (average_precision, lambda r, w: pooled_figures(r, w).f1)
        )
        held[number] = [ap.low <= truth[0] <= ap.high, f1.low <= truth[1] <= f1.high]
    assert (held.mean(axis=0) >= 0.90).all(), held.mean(axis=0)
    assert (held.mean(axis=0) <= 0.99).all(), held.mean(axis=0)


def test_with_few_objects_a_class_the_mirror_brings_intervals_to_the_truth():
    """60 data sets of 60 photographs with 20 classes, half an object a photograph each."""
    classes, images = 20, 60
    many = [simulated(np.random.default_rng(k), 6_000, 1) for k in range(classes)]
    truth = float(class_average_precision(many).mean())
    rng = np.random.default_rng(8)
    held, values = np.zeros((60, 2), dtype=bool), []
    for number in range(len(held)):
        rankings = [simulated(rng, images, 1) for _ in range(classes)]
        value = float(class_average_precision(rankings).mean())
        weights = draw_weights(images, 150, seed=number)
        drawn = class_average_precision(rankings, weights).mean(axis=1)
        plain, mirrored = percentile_interval(value, drawn), reflected_interval(value, drawn)
        held[number] = [one.low <= truth <= one.high for one in (plain, mirrored)]
        values.append(value)
    assert np.mean(values) > truth + 0.01, "AP of small sets is too high"
    assert held[:, 0].mean() < 0.4, held.mean(axis=0)
    assert held[:, 1].mean() >= 0.8, held.mean(axis=0)


def test_draws_are_whole_sets_and_repeat_with_the_seed():
    weights = draw_weights(30, 4000, seed=1)
    assert weights.shape == (4000, 30)
    assert (weights.sum(axis=1) == 30).all()
    # An image is in a draw once on average, with a variance of 1 - 1/I, as the binomial has it.
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)
    assert weights.var() == pytest.approx(1 - 1 / 30, abs=0.03)
    np.testing.assert_array_equal(weights[:10], draw_weights(30, 10, seed=1))
    assert not np.array_equal(weights[:10], draw_weights(30, 10, seed=2))


def test_a_percentile_interval_by_hand():
    drawn = np.append(np.random.default_rng(0).permutation(101) / 100, np.nan)
    value, low, high, draws = percentile_interval(0.5, drawn, level=0.9)
    assert (value, draws) == (0.5, 101)
    assert (low, high) == pytest.approx((0.05, 0.95))
    assert percentile_interval(0.5, np.full(3, np.nan)).draws == 0
    assert np.isnan(percentile_interval(0.5, np.full(3, np.nan)).low)


def test_a_reflected_interval_by_hand():
    drawn = np.random.default_rng(0).permutation(101) / 100
    value, low, high, draws = reflected_interval(0.4, drawn, level=0.9)
    assert (value, draws) == (0.4, 101)
    # 0.05 and 0.95 lie 0.35 below and 0.55 above; mirrored, and no share is negative.
    assert (low, high) == pytest.approx((0, 0.75))
    assert np.isnan(reflected_interval(0.5, np.full(3, np.nan)).low)


def test_every_figure_has_an_interval_around_it(random_set):
    figures = HeadlineFigures(random_set(4, images=30))
    intervals = headline_intervals(figures, draws=200)
    assert tuple(intervals) == figures.keys
    for key in ("AP", "AP50", "AR", "challenge_mAP50", "F1", "LAMR"):
        value, low, high, draws = intervals[key]
        assert value == float(figures.values(key))
        assert low < value < high, key
        assert draws == 200
    again = headline_intervals(figures, draws=200)
    np.testing.assert_array_equal(list(intervals.values()), list(again.values()))
    wider = headline_intervals(figures, draws=200, level=0.99)["AP"]
    assert wider.low < intervals["AP"].low < intervals["AP"].high < wider.high


def test_draws_that_lack_a_class_are_counted(small_set):
    data = small_set([(0, [0, 0, 9, 9]), (2, [0, 0, 9, 9], True)], [])
    # Of one image every draw is that image; class 2 has only a crowd, class 1 nothing.
    assert draws_without(data, draw_weights(1, 5)).tolist() == [0, 5, 5]
    weights = draw_weights(3, 3000)
    assert draws_without(data, np.array([[0], [1]])).tolist() == [1, 2, 2]
    # A class on one of three images is missing from (2/3)^3 of the draws.
    assert draws_without(data, weights)[0] / 3000 == pytest.approx(8 / 27, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0,), "images must be at least 1; got 0"),
        ((3, 0), "draws must be at least 1; got 0"),
        ((3, 5, -1), "seed must not be negative; got -1"),
    ],
)
def test_bad_draws_are_told(arguments, told):
    with pytest.raises(ValueError, match=told):
        draw_weights(*arguments)
    with pytest.raises(ValueError, match=r"\(0, 1\); got 95"):
        percentile_interval(0.5, np.zeros(3), level=95)
