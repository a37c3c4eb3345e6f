"""Missed labels against false positives per image: where most of an image is empty, what an
operator sees of a detector.

I: images. C: distinct confidences. P: rates of false positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.curves import Ranking
from smallobj.evaluation.metrics.operating_points import operating_curve
from smallobj.evaluation.reading.tables import EvaluationSet

LAMR_RATES = tuple(10.0 ** (step / 4 - 2) for step in range(9))
FROC_RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
# A detector that misses nothing has no logarithm of its miss rate.
LEAST_MISS_RATE = 1e-10


class MissCurve(NamedTuple):
    """What showing all detections of at least a confidence misses, and what it costs.

    Attributes:
        confidences: (C,) float64, falling, each once.
        false_positives: (C,) float64, per image, rising.
        miss_rate: (C,) float64, labels that aren't found, falling; NaN without labels.
    """

    confidences: np.ndarray
    false_positives: np.ndarray
    miss_rate: np.ndarray


class EmptyImages(NamedTuple):
    """False positives on images without any label, at one confidence.

    Attributes:
        images: how many images have no label at all, not even a crowd.
        false_positives: on these images, of the classes of the ranking.
        alarmed: how many of these images have at least one.
    """

    images: int
    false_positives: int
    alarmed: int


def miss_curve(ranking: Ranking, num_images: int, weights: np.ndarray | None = None) -> MissCurve:
    """The curve of one class, or of all together; all images count, also those without labels.

    Args:
        ranking: detections and labels.
        num_images: I.
        weights: (I,) how often each image counts; None counts each once.

    Raises:
        ValueError: no images.
    """
    images = float(num_images if weights is None else weights.sum())
    if not images > 0:
        raise ValueError(f"false positives per image need at least one image, got {images:g}")
    curve = operating_curve(ranking, weights)
    return MissCurve(curve.confidences, curve.wrong / images, 1 - curve.recall)


def miss_rates(curve: MissCurve, rates: Sequence[float] = LAMR_RATES) -> np.ndarray:
    """(P,) miss rate where false positives per image come closest to each rate from below.

    A rate beyond the end of the curve takes its last, lowest miss rate. Where even the most
    confident detections bring more false positives than the rate, nothing is shown: miss rate 1.
    """
    # To the right: of several points at exactly the rate the last one misses least.
    before = np.searchsorted(curve.false_positives, np.asarray(rates), side="right")
    nothing = np.nan if np.isnan(curve.miss_rate).any() else 1.0
    found: np.ndarray = np.concatenate([[nothing], curve.miss_rate])[before]
    return found


def log_average_miss_rate(curve: MissCurve) -> float:
    """Geometric mean of the miss rate at nine rates, 0.01 to 1 false positives per image.

    Lower is better; 1 finds nothing, 1e-10 stands for 0. NaN without labels. Detections of equal
    score come and go together, so unlike in the authors' tool their order doesn't matter.

    Source: Dollar, Wojek, Schiele, Perona, Pedestrian Detection: An Evaluation of the State of
        the Art, PAMI 34(4), 2012, section 3.1.
    """
    rates = np.maximum(miss_rates(curve), LEAST_MISS_RATE)
    return float(np.exp(np.log(rates).mean()))


def sensitivities(curve: MissCurve, rates: Sequence[float] = FROC_RATES) -> np.ndarray:
    """(P,) share of labels that are found at each rate of false positives per image.

    Between the points of the curve it is interpolated linearly, before the first one from (0, 0);
    beyond the end it stays at the last.

    Source: Setio et al., LUNA16, arXiv 1612.08012, and the challenge's page on its evaluation.
    """
    x = np.concatenate([[0.0], curve.false_positives])
    y = np.concatenate([[0.0], 1 - curve.miss_rate])
    if np.isnan(y).any():
        return np.full(len(rates), np.nan)
    wanted = np.asarray(rates, dtype=np.float64)
    # Of several points at one rate the last, which finds most.
    left = np.searchsorted(x, wanted, side="right") - 1
    right = np.minimum(left + 1, len(x) - 1)
    run = x[right] - x[left]
    share = np.divide(wanted - x[left], run, out=np.zeros(len(wanted)), where=run > 0)
    found: np.ndarray = y[left] + share * (y[right] - y[left])
    return found


def froc_score(curve: MissCurve) -> float:
    """Mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per image.

    Higher is better; NaN without labels.

    Source: Niemeijer et al., On Combining Computer-Aided Detection Systems, IEEE TMI 30(2), 2011
        (the competition performance metric, CPM); LUNA16, arXiv 1612.08012.
    """
    return float(sensitivities(curve).mean())


def empty_images(data: EvaluationSet, ranking: Ranking, confidence: float) -> EmptyImages:
    """What is shown on images where there is nothing to find.

    Args:
        data: the set that the ranking comes from.
        ranking: of one class, or of all together.
        confidence: detections of at least this score count.
    """
    empty = np.ones(len(data.image_ids), dtype=bool)
    # With crowds: where one lies there is something to find.
    empty[data.labels.images] = False
    shown = ranking.images[ranking.scores >= confidence]
    on_empty = shown[empty[shown]]
    return EmptyImages(int(empty.sum()), len(on_empty), len(np.unique(on_empty)))
