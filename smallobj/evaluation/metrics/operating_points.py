"""Precision, recall and F1 at every confidence, and the confidence with the best F1.

Matching starts at the most confident detection, so leaving out all those under a confidence
doesn't change what the others find: one matching serves all confidences.

C: distinct confidences. K: classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.curves import (
    Ranking,
    class_rankings,
    pooled_ranking,
    weighted_counts,
)
from smallobj.evaluation.metrics.matching import Matches
from smallobj.evaluation.reading.tables import EvaluationSet


class OperatingCurve(NamedTuple):
    """What showing all detections of at least a confidence gives.

    Attributes:
        confidences: (C,) float64, falling, each once.
        right: (C,) float64, detections of at least that confidence that find a label.
        wrong: (C,) float64, those that find none.
        labels: all labels that are to be found.
    """

    confidences: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    labels: float

    @property
    def precision(self) -> np.ndarray:
        """(C,) float64."""
        return _ratio(self.right, self.right + self.wrong)

    @property
    def recall(self) -> np.ndarray:
        """(C,) float64, NaN without labels."""
        return _ratio(self.right, np.full(len(self.right), self.labels))

    @property
    def f1(self) -> np.ndarray:
        """(C,) float64, the harmonic mean of precision and recall; 0 where nothing is right."""
        # From the counts, so that equal fractions are equal floats.
        return _ratio(2 * self.right, self.right + self.wrong + self.labels)


class OperatingPoint(NamedTuple):
    """One confidence of an :class:`OperatingCurve`.

    Attributes:
        confidence: detections of at least this score are shown.
        precision: NaN where none is shown.
        recall: NaN without labels.
        f1: NaN where there are neither labels nor detections.
        right: shown detections that find a label.
        wrong: shown detections that find none.
        missed: labels that no shown detection finds.
    """

    confidence: float
    precision: float
    recall: float
    f1: float
    right: float
    wrong: float
    missed: float


def operating_curve(ranking: Ranking, weights: np.ndarray | None = None) -> OperatingCurve:
    """The counts at each confidence.

    Args:
        ranking: of one class, or of all together: one confidence for all classes.
        weights: (I,) how often each image counts; None counts each once.
    """
    counts, labels = weighted_counts(ranking, weights)
    # Of equal scores none can be shown without the others: count at the last of each.
    last = np.flatnonzero(np.append(ranking.scores[1:] != ranking.scores[:-1], True))
    last = last[: len(ranking.scores)]
    right = np.cumsum(counts * ranking.right)[last]
    return OperatingCurve(ranking.scores[last], right, np.cumsum(counts)[last] - right, labels)


def operating_curves(
    data: EvaluationSet, matches: Matches
) -> tuple[list[OperatingCurve], OperatingCurve]:
    """One for each of K classes, and one for all together, from a matching by class."""
    by_class = [operating_curve(ranking) for ranking in class_rankings(data, matches)]
    return by_class, operating_curve(pooled_ranking(data, matches))


def best_point(curve: OperatingCurve) -> OperatingPoint | None:
    """Where F1 is largest, of equals the highest confidence; None where no detection is right."""
    if not (curve.right > 0).any():
        return None
    return _point(curve, int(np.argmax(curve.f1)))


def point_at(curve: OperatingCurve, confidence: float) -> OperatingPoint:
    """What showing all detections with a score of at least ``confidence`` gives.

    Raises:
        ValueError: confidence isn't a number.
    """
    if np.isnan(confidence):
        raise ValueError(f"confidence must be a number, got {confidence}")
    shown = int(np.searchsorted(-curve.confidences, -confidence, side="right"))
    return _point(curve, shown - 1)._replace(confidence=float(confidence))


def _point(curve: OperatingCurve, index: int) -> OperatingPoint:
    """Of the confidence at ``index``; -1 shows nothing."""
    right, wrong = (
        (float(curve.right[index]), float(curve.wrong[index])) if index >= 0 else (0.0, 0.0)
    )
    precision, recall, f1 = _ratio(
        np.array([right, right, 2 * right]),
        np.array([right + wrong, curve.labels, right + wrong + curve.labels]),
    ).tolist()
    return OperatingPoint(
        float(curve.confidences[index]) if index >= 0 else float("inf"),
        precision,
        recall,
        f1,
        right,
        wrong,
        curve.labels - right,
    )


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)
