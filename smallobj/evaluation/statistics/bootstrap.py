"""Intervals of the headline figures by a bootstrap over images.

Whole images are drawn, with their labels and detections. Objects of one photograph are alike, so
drawing single objects would give intervals that are too narrow. Images without labels are drawn,
too: their false positives are part of every figure.

I: images. K: classes. B: draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smallobj.checks import check_at_least, check_between, check_not_negative
from smallobj.evaluation.metrics.headline import HeadlineFigures
from smallobj.evaluation.reading.tables import EvaluationSet


class Interval(NamedTuple):
    """A figure and where it may lie.

    Attributes:
        value: of the set itself; NaN where it isn't defined.
        low: lower end.
        high: upper end.
        draws: draws in which the figure is defined; the others are left out.
    """

    value: float
    low: float
    high: float
    draws: int


def draw_weights(num_images: int, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """(B, I) int32: how often each image is in each of B sets of I images drawn with replacement.

    Args:
        num_images: I.
        draws: B.
        seed: the same seed gives the same draws.

    Raises:
        ValueError: no images, no draws, or a negative seed.
    """
    check_at_least("the number of images", num_images, 1)
    check_at_least("the number of draws", draws, 1)
    check_not_negative("the seed", seed)
    rng = np.random.default_rng(seed)
    # One row at a time: numpy makes int64, twice what is kept.
    weights = np.empty((draws, num_images), dtype=np.int32)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, num_images, num_images), minlength=num_images)
    return weights


def percentile_interval(value: float, drawn: np.ndarray, level: float = 0.95) -> Interval:
    """The middle ``level`` of the drawn figures.

    Args:
        value: the figure of the set itself.
        drawn: (B,) the figure of each draw; NaN where it isn't defined.
        level: share of the draws within, in (0, 1).

    Raises:
        ValueError: a level outside (0, 1).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    check_between("the level of an interval", level, 0, 1, "()")
    # A draw may hold no label at all, or none of a bin.
    defined = drawn[~np.isnan(drawn)]
    if not len(defined) or np.isnan(value):
        return Interval(float(value), np.nan, np.nan, len(defined))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(float(value), low, high, len(defined))


def reflected_interval(value: float, drawn: np.ndarray, level: float = 0.95) -> Interval:
    """The percentile interval mirrored at the figure, for shares that small sets overstate.

    AP takes at each recall the best precision from there on, and so is too high where a class has
    few objects; a draw repeats images and is too high once more, by about as much. The mirror
    moves the interval down by what the draws lie above the figure. It may then lie below the
    figure, or leave it out: that says how much the figure itself flatters.

    Args:
        value, drawn, level: as in :func:`percentile_interval`.

    Returns:
        Ends within [0, 1].

    Raises:
        ValueError: a level outside (0, 1).

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 5.2 (basic
        bootstrap confidence limits).
    """
    _, low, high, draws = percentile_interval(value, drawn, level)
    # The mirror swaps the ends, and may push them out of what a share can be.
    mirrored_low, mirrored_high = np.clip([2 * value - high, 2 * value - low], 0, 1).tolist()
    return Interval(float(value), mirrored_low, mirrored_high, draws)


def headline_intervals(
    figures: HeadlineFigures, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Every headline figure with its :func:`reflected_interval`.

    Args:
        figures: of the set.
        draws, seed: as in ``draw_weights``.
        level: share of the draws within.
    """
    # The same draws for all figures, made once.
    weights = draw_weights(len(figures.data.image_ids), draws, seed)
    return {
        key: reflected_interval(float(figures.values(key)), figures.values(key, weights), level)
        for key in figures.keys
    }


def draws_without(data: EvaluationSet, weights: np.ndarray) -> np.ndarray:
    """(K,) int64: draws that hold no label of a class, crowds apart.

    In such a draw the class is left out of the means, as it is in a set without it. A class that
    the whole set lacks is missing from all draws.

    Args:
        data: the labels.
        weights: (B, I).
    """
    labels = data.labels[~data.labels.crowd]
    missing = np.empty(len(data.class_names), dtype=np.int64)
    for k in range(len(missing)):
        # Only images that hold the class: for a rare one these are few columns of many.
        holders = np.unique(labels.images[labels.categories == k])
        missing[k] = (~(weights[:, holders] > 0).any(axis=1)).sum()
    return missing
