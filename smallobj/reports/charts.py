"""Charts, as parts of the page's dict: curves, misses, calibration, confusion matrix.

K classes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smallobj.evaluation.metrics.calibration import reliability
from smallobj.evaluation.metrics.confusion import BACKGROUND, confusion_matrix
from smallobj.evaluation.metrics.curves import Ranking, average_precision, precision_recall
from smallobj.evaluation.metrics.misses import log_average_miss_rate, miss_curve
from smallobj.evaluation.reading.tables import EvaluationSet

# Points of a curve in a page; more would not be distinguishable.
_MOST_POINTS = 300


def curves(data: EvaluationSet, pooled: Ranking, by_class: list[Ranking]) -> list[dict[str, Any]]:
    """Precision-recall curves: of all classes in one list, then of each class with labels.

    Args:
        data: labels and detections.
        pooled: ranking of the detections of all classes together.
        by_class: ranking of each of the K classes.
    """
    named = [("all classes in one list", pooled)]
    named += [
        (name, ranking)
        for name, ranking in zip(data.class_names, by_class, strict=True)
        if len(ranking.label_images)
    ]
    return [_curve(name, ranking) for name, ranking in named]


def _curve(name: str, ranking: Ranking) -> dict[str, Any]:
    curve = precision_recall(ranking)
    kept = _spread(len(curve.recall))
    return {
        "name": name,
        "recall": rounded(curve.recall[kept]),
        "precision": rounded(curve.precision[kept]),
        "score": rounded(curve.scores[kept]),
        "ap": defined(average_precision(ranking)),
    }


def misses(pooled: Ranking, images: int) -> dict[str, Any] | None:
    """Miss rate against false positives per image; None without labels or false positives."""
    if not images or not len(pooled.label_images) or not len(pooled.scores):
        return None
    curve = miss_curve(pooled, images)
    rate = log_average_miss_rate(curve)
    kept = _spread(len(curve.false_positives))
    positive = curve.false_positives[curve.false_positives > 0]
    if not len(positive):
        return None
    return {
        "note": f"At IoU 0.5, all classes together. Log-average miss rate: {100 * rate:.1f} % "
        "(lower is better).",
        "fppi": rounded(curve.false_positives[kept]),
        "miss_rate": rounded(curve.miss_rate[kept]),
        "range": [float(min(positive[0], 0.01)), float(max(positive[-1], 1))],
    }


def calibration(pooled: Ranking) -> dict[str, Any] | None:
    """Precision by score; None if there are no scores, or some lie outside [0, 1]."""
    scores = pooled.scores
    if not len(scores) or scores.min() < 0 or scores.max() > 1:
        return None
    bins = reliability(pooled)
    rows = zip(rounded(bins.score), rounded(bins.precision), bins.detections.tolist(), strict=True)
    return {
        "note": "Precision at IoU 0.5 of detections with similar scores. Expected "
        f"calibration error: {100 * bins.expected_error:.1f} %.",
        "rows": [
            {"confidence": score, "precision": precision, "count": int(count)}
            for score, precision, count in rows
        ],
    }


def confusion(data: EvaluationSet, score: float) -> dict[str, Any]:
    """Confusion matrix of the detections of at least this score."""
    matrix = confusion_matrix(data, score)
    return {
        "note": "Rows are the classes of labels, columns those of detections. They are matched at "
        f"IoU 0.5 regardless of class, for detections of score {score:.3g} and more, where F1 is "
        "best. Stronger colour: larger share of the row. The last column counts missed objects, "
        f"the last row ({BACKGROUND}) detections without a label.",
        "names": [*data.class_names, BACKGROUND],
        "counts": matrix.counts.tolist(),
    }


def defined(value: Any) -> float | None:
    """A float for JSON; None for None, NaN and infinity.

    >>> defined(1), defined(float("nan"))
    (1.0, None)
    """
    return None if value is None or not math.isfinite(value) else float(value)


def rounded(values: np.ndarray) -> list[float | None]:
    """Values rounded to five decimals, enough for a chart; None for NaN and infinity."""
    return [None if not math.isfinite(value) else round(value, 5) for value in values.tolist()]


def _spread(count: int) -> np.ndarray:
    """Indices of evenly spread points, including the first and the last."""
    spread = np.linspace(0, max(count - 1, 0), min(count, _MOST_POINTS))
    return np.unique(spread.astype(np.int64))
