"""Whether one set of detections is better than another on the same images.

A difference is reported only if two tests agree, since each has a weakness: the bootstrap's
interval is too narrow with few images, and the swap test says nothing about how large the
difference is.

I: images. B: draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.headline import LOWER_IS_BETTER, HeadlineFigures
from smallobj.evaluation.metrics.size_bins import DEFAULT_BINS, SizeBin
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.evaluation.statistics.bootstrap import (
    Interval,
    draw_weights,
    percentile_interval,
    reflected_interval,
)

LEVEL = 0.95
# Quantiles of the normal distribution: two-sided 5%, and 80% power.
_FOR_LEVEL, _FOR_POWER = 1.959964, 0.841621
# Beyond this many times the images the estimate is a guess.
_FARTHEST = 100
# Equal figures that were summed in another order differ by less than this.
_ROUNDING = 1e-12


class PairedFigure(NamedTuple):
    """One figure of A and of B, and the difference of the two over the same draws.

    Attributes:
        key: of :class:`HeadlineFigures`.
        a: interval of A.
        b: interval of B.
        difference: interval of B - A.
        spread: standard deviation of the drawn differences; NaN without two of them.
        better: share of draws in which B is better, a tie counting half; NaN without draws.
        p: two-sided, by the bootstrap.
    """

    key: str
    a: Interval
    b: Interval
    difference: Interval
    spread: float
    better: float
    p: float


class Verdict(NamedTuple):
    """What can be said of the headline figure.

    Attributes:
        winner: "A", "B", or "" if the difference is not significant.
        sentence: the verdict as a sentence.
        swap_p: two-sided p of the swap test.
        images_needed: images with which a difference like this one would be detected four times
            in five; None where that can't be said.
    """

    winner: str
    sentence: str
    swap_p: float
    images_needed: int | None


class PairedSets:
    """Two sets of detections for one set of labels, weighed by the same draws."""

    def __init__(
        self,
        a: EvaluationSet,
        b: EvaluationSet,
        *,
        bins: Sequence[SizeBin] = DEFAULT_BINS,
        max_detections: int = 100,
        draws: int = 1000,
        seed: int = 0,
    ) -> None:
        """
        Args:
            a, b: the same images, classes and labels, in the same order.
            bins, max_detections: as in :class:`HeadlineFigures`.
            draws, seed: as in ``draw_weights``.

        Raises:
            ValueError: other images, classes or labels; no images; no draws.
        """
        _require_same(a, b)
        self.a = HeadlineFigures(a, bins=bins, max_detections=max_detections)
        self.b = HeadlineFigures(b, bins=bins, max_detections=max_detections)
        self.both = HeadlineFigures(interleaved(a, b), bins=bins, max_detections=max_detections)
        self.draws, self.seed = draws, seed
        self.weights = draw_weights(len(a.image_ids), draws, seed)

    def figure(self, key: str) -> PairedFigure:
        """One figure of both, and its difference in each draw.

        Raises:
            ValueError: an unknown figure.
        """
        # The same draws for both, so that hard images weigh alike in both and the difference varies
        # less.
        of_a, of_b = float(self.a.values(key)), float(self.b.values(key))
        drawn_a, drawn_b = self.a.values(key, self.weights), self.b.values(key, self.weights)
        change = drawn_b - drawn_a
        defined = change[~np.isnan(change)]
        sign = -1 if key in LOWER_IS_BETTER else 1
        wins, ties = (sign * defined > _ROUNDING).sum(), (np.abs(defined) <= _ROUNDING).sum()
        return PairedFigure(
            key,
            reflected_interval(of_a, drawn_a, LEVEL),
            reflected_interval(of_b, drawn_b, LEVEL),
            # What draws add to both of them leaves the difference alone.
            percentile_interval(of_b - of_a, change, LEVEL),
            float(defined.std(ddof=1)) if len(defined) > 1 else math.nan,
            float((wins + ties / 2) / len(defined)) if len(defined) else math.nan,
            bootstrap_p(defined),
        )

    def swap_p(self, key: str) -> float:
        """Two-sided p of the swap test (a permutation test over images).

        If A and B were equally good it wouldn't matter which of the two gave the detections of an
        image. So each image swaps them with a chance of one half, both figures are measured anew,
        and p is the share of such swaps with a difference at least as large as the one seen, the
        one seen counted in. Exact for any figure and number of images, but for the drawing.

        Source: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, section 3.
        """
        seen = abs(float(self.b.values(key)) - float(self.a.values(key)))
        if math.isnan(seen):
            return math.nan
        images = len(self.a.data.image_ids)
        # Another stream than the bootstrap's: each of the two tests is a check of the other.
        rng = np.random.default_rng((self.seed, 1))
        # One byte a weight, since there are draws x 2 images of them.
        stays = rng.integers(0, 2, (self.draws, images), dtype=np.int8)
        weights = np.empty((self.draws, 2 * images), dtype=np.int8)
        # Of each image exactly one copy counts; 1 - weights is the set with all the other ones.
        weights[:, 0::2], weights[:, 1::2] = stays, 1 - stays
        change = np.abs(self.both.values(key, weights) - self.both.values(key, 1 - weights))
        change = change[~np.isnan(change)]
        # A swap that misses the difference seen by a rounding must count, or p would be too small.
        return float(((change >= seen - _ROUNDING).sum() + 1) / (len(change) + 1))

    def verdict(self, figure: PairedFigure) -> Verdict:
        """Whether B is better by this figure, and how sure that is.

        Args:
            figure: the headline one, as ``self.figure`` gave it.
        """
        swap_p = self.swap_p(figure.key)
        change, low, high, _ = figure.difference
        name = figure.key
        if math.isnan(change) or math.isnan(low):
            sentence = f"no difference can be told: {name} isn't defined for these labels"
            return Verdict("", sentence, swap_p, None)
        # Of a figure where lower is better a rise of B speaks for A.
        is_b = (change > 0) != (figure.key in LOWER_IS_BETTER)
        how_sure = f"p = {figure.p:.2g} by the bootstrap, {swap_p:.2g} by swapping"
        if (low > 0 or high < 0) and figure.p < 1 - LEVEL and swap_p < 1 - LEVEL:
            winner = "B" if is_b else "A"
            # The ends seen from the winner, so that both are positive.
            ends = sorted((abs(low), abs(high)))
            sentence = (
                f"{winner} is better by {abs(change) * 100:.1f} points of {name} "
                f"(95% interval {ends[0] * 100:.1f} to {ends[1] * 100:.1f}, {how_sure})"
            )
            return Verdict(winner, sentence, swap_p, None)
        images = len(self.a.data.image_ids)
        needed = images_needed(images, change, figure.spread)
        sentence = (
            f"no difference can be told: B - A is {change * 100:+.1f} points of {name} "
            f"(95% interval {low * 100:+.1f} to {high * 100:+.1f}, {how_sure})"
        )
        return Verdict("", sentence + _of_needed(images, change, needed), swap_p, needed)


def bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p: the smallest 1 - level at which the percentile interval leaves 0 out.

    Twice the smaller share of draws on either side of 0, ties on both, one draw added to each so
    that no finite number of draws gives 0; at most 1. NaN without draws.

    Args:
        differences: (B,) finite.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, sections 4.4 and
        5.4 (tests by turning an interval round).
    """
    if not len(differences):
        return math.nan
    # Ties count on both sides, so that many of them make p large.
    below = (differences <= _ROUNDING).sum() + 1
    above = (differences >= -_ROUNDING).sum() + 1
    return min(1.0, float(2 * min(below, above) / (len(differences) + 1)))


def images_needed(images: int, change: float, spread: float) -> int | None:
    """Images with which a true difference of ``change`` is detected four times in five.

    The spread falls with the root of the number of images if the further ones are like these. It
    takes the difference seen for the true one, which it needn't be at all.

    Args:
        images: I.
        change: the difference seen.
        spread: its standard deviation over draws of I images.

    Returns:
        None where there is no difference or no spread, or so little of the one that the answer,
        over 100 I, would be a guess.
    """
    if not (abs(change) > _ROUNDING and spread > 0):
        return None
    times = ((_FOR_LEVEL + _FOR_POWER) * spread / abs(change)) ** 2
    return math.ceil(images * times) if times <= _FARTHEST else None


def interleaved(a: EvaluationSet, b: EvaluationSet) -> EvaluationSet:
    """2 I images: image i of A is number 2 i, that of B is 2 i + 1, each with its labels.

    Weights of 0 and 1 then choose for each image whose detections count.
    """
    # Each copy brings the labels, too: a class's recall is then of as many labels as in A or B.
    labels = [_moved_labels(data.labels, side) for side, data in enumerate((a, b))]
    found = [_moved_detections(data.detections, side) for side, data in enumerate((a, b))]
    return EvaluationSet(
        list(range(2 * len(a.image_ids))),
        [name for name in a.file_names for _ in range(2)],
        np.repeat(a.sizes, 2, axis=0),
        a.class_names,
        LabelTable(*(np.concatenate(columns) for columns in zip(*labels, strict=True))),
        DetectionTable(*(np.concatenate(columns) for columns in zip(*found, strict=True))),
    )


def _moved_labels(table: LabelTable, side: int) -> tuple[np.ndarray, ...]:
    return 2 * table.images + side, table.categories, table.boxes, table.areas, table.crowd


def _moved_detections(table: DetectionTable, side: int) -> tuple[np.ndarray, ...]:
    return 2 * table.images + side, table.categories, table.boxes, table.scores


def _of_needed(images: int, change: float, needed: int | None) -> str:
    if needed is not None and needed > images:
        return (
            f"; a true difference of that size would be told four times in five with about "
            f"{needed} images like these {images}"
        )
    if needed is None and abs(change) > _ROUNDING:
        return "; it is too small beside its spread to say how many images would tell it"
    return ""


def _require_same(a: EvaluationSet, b: EvaluationSet) -> None:
    for what, one, other in (
        ("images", a.image_ids, b.image_ids),
        ("classes", a.class_names, b.class_names),
    ):
        if list(one) != list(other):
            raise ValueError(
                f"A and B must be on the same {what} in the same order; got {len(one)} and "
                f"{len(other)}, which first differ at {_first_difference(list(one), list(other))}"
            )
    # In the same order, too: it decides between labels with equal IoU.
    pairs = zip(_moved_labels(a.labels, 0), _moved_labels(b.labels, 0), strict=True)
    if not all(np.array_equal(first, other) for first, other in pairs):
        raise ValueError("A and B must have the same labels; got others")


def _first_difference(one: Sequence[object], other: Sequence[object]) -> str:
    shorter = min(len(one), len(other))
    for place in range(shorter):
        if one[place] != other[place]:
            return f"number {place}: {one[place]!r} and {other[place]!r}"
    return f"number {shorter}, which only one has"
