"""How far scores can be read as probabilities: reliability bins, expected calibration error.

The share of right detections is taken at the IoU threshold of the matching, by convention 0.5.
Ignored detections are left out, and undetected labels have no influence.

N: detections that count. B: bins. K: classes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from smallobj.checks import check_at_least, check_choice
from smallobj.evaluation.metrics.curves import (
    Ranking,
    class_rankings,
    pooled_ranking,
    weighted_counts,
)
from smallobj.evaluation.metrics.matching import Matches
from smallobj.evaluation.reading.tables import EvaluationSet

Spacing = Literal["width", "mass"]


class Reliability(NamedTuple):
    """B bins by score; each has its upper end, but not its lower (the first has both).

    Attributes:
        low: (B,) float64.
        high: (B,) float64.
        detections: (B,) float64, how many.
        score: (B,) float64, their mean score, NaN for an empty bin.
        precision: (B,) float64, the share of them that is right, NaN for an empty bin.
    """

    low: np.ndarray
    high: np.ndarray
    detections: np.ndarray
    score: np.ndarray
    precision: np.ndarray

    @property
    def expected_error(self) -> float:
        """ECE: mean over detections of their bin's abs(precision - score); NaN without any.

        Source: Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, eq. 3,
            with precision in place of accuracy as Kueppers et al., arXiv 2004.13546, have it for
            detections.
        """
        used = self.detections > 0
        if not used.any():
            return float("nan")
        gaps = np.abs(self.precision[used] - self.score[used])
        return float((gaps * self.detections[used]).sum() / self.detections.sum())

    @property
    def largest_error(self) -> float:
        """MCE: largest abs(precision - score) of a bin; NaN without detections."""
        used = self.detections > 0
        gaps = np.abs(self.precision[used] - self.score[used])
        return float(gaps.max()) if used.any() else float("nan")


def reliability(
    ranking: Ranking,
    num_bins: int = 15,
    spacing: Spacing = "width",
    weights: np.ndarray | None = None,
) -> Reliability:
    """Scores against the share of right detections.

    Args:
        ranking: of one class, or of all together.
        num_bins: B.
        spacing: "width": bins of equal width over [0, 1]. "mass": bins of about as many
            detections each; equal scores stay together, so there may be fewer bins. Most
            detections of a detector have low scores, and bins of equal width then say little
            about the others.
        weights: (I,) how often each image counts; None counts each once.

    Raises:
        ValueError: num_bins below 1, an unknown spacing, or scores outside [0, 1].

    Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI
        2015 (equal width); Nixon et al., Measuring Calibration in Deep Learning, arXiv 1904.01685
        (equal mass).
    """
    check_at_least("num_bins", num_bins, 1)
    check_choice("spacing", spacing, ("width", "mass"))
    scores = ranking.scores
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        raise ValueError(f"calibration needs scores from 0 to 1, got {scores[outside][0]}")
    counts, _ = weighted_counts(ranking, weights)
    # m / B is the float that a score of m / B is read as, which a running sum is not.
    inner = np.arange(1, num_bins) / num_bins
    if spacing == "mass":
        inner = _equal_mass(scores, counts, num_bins)
    # To the left: a score on a bound belongs to the bin below, which has its upper end.
    number, size = np.searchsorted(inner, scores, side="left"), len(inner) + 1
    count = np.bincount(number, counts, size)
    # NaN, not 0: nothing is known of an empty bin.
    filled = np.where(count > 0, count, np.nan)
    return Reliability(
        np.concatenate([[0.0], inner]),
        np.concatenate([inner, [1.0]]),
        count,
        np.bincount(number, counts * scores, size) / filled,
        np.bincount(number, counts * ranking.right, size) / filled,
    )


def class_reliability(
    data: EvaluationSet, matches: Matches, num_bins: int = 15, spacing: Spacing = "width"
) -> tuple[list[Reliability], Reliability]:
    """Bins of each of K classes, and of all together, from a matching by class."""
    by_class = [
        reliability(ranking, num_bins, spacing) for ranking in class_rankings(data, matches)
    ]
    return by_class, reliability(pooled_ranking(data, matches), num_bins, spacing)


def _equal_mass(scores: np.ndarray, counts: np.ndarray, num_bins: int) -> np.ndarray:
    """Inner bounds, rising: the scores up to which m / B of all detections lie."""
    used = counts > 0
    rising, mass = scores[used][::-1], np.cumsum(counts[used][::-1])
    if not len(rising):
        return np.zeros(0)
    # In whole numbers, as m * total / B may be rounded up past the detection that it means.
    places = np.searchsorted(mass * num_bins, mass[-1] * np.arange(1, num_bins), side="left")
    # Many equal scores may give the same bound several times. A bound at the highest score would
    # leave the bin above it empty.
    bounds = np.unique(rising[places])
    return bounds[bounds < rising[-1]]
