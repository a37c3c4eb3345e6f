"""Parts of the page's dict that are drawn: curves, misses, calibration, the confusion matrix.

K: classes. N: points of a curve.
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

# Points of a curve that a page shows; more can't be told apart.
_MOST_POINTS = 300


def curves(data: EvaluationSet, pooled: Ranking, by_class: list[Ranking]) -> list[dict[str, Any]]:
    """Precision against recall, of all classes in one list first, then of each with labels.

    Args:
        data: labels and detections.
        pooled: ranking of all classes together.
        by_class: K rankings.
    """
    named = [("all classes in one list", pooled)]
    named += [
        (name, one)
        for name, one in zip(data.class_names, by_class, strict=True)
        if len(one.label_images)
    ]
    return [_curve(name, one) for name, one in named]


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
    """Miss rate against false positives per image; None where nothing can be drawn."""
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
    """Share of right detections by score; None where scores aren't in [0, 1], or there are none."""
    scores = pooled.scores
    if not len(scores) or scores.min() < 0 or scores.max() > 1:
        return None
    bins = reliability(pooled)
    rows = zip(rounded(bins.score), rounded(bins.precision), bins.detections.tolist(), strict=True)
    return {
        "note": "Of the detections with a score, the share that is right at IoU 0.5. Expected "
        f"calibration error: {100 * bins.expected_error:.1f} %.",
        "rows": [
            {"confidence": score, "precision": precision, "count": int(count)}
            for score, precision, count in rows
        ],
    }


def confusion(data: EvaluationSet, score: float) -> dict[str, Any]:
    """Which class is taken for which, of detections from a score on."""
    matrix = confusion_matrix(data, score)
    return {
        "note": "A row is a label's class, a column a detection's, matched whatever their classes "
        f"at IoU 0.5, for detections of score {score:.3g} and more, where F1 is best. Stronger "
        f"colour: larger share of its row. The last column is missed, the last row ({BACKGROUND}) "
        "detections without a label.",
        "names": [*data.class_names, BACKGROUND],
        "counts": matrix.counts.tolist(),
    }


def defined(value: Any) -> float | None:
    """A float for JSON, None for NaN and infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


def rounded(values: np.ndarray) -> list[float | None]:
    """To five digits, which a chart can't show better."""
    return [None if not math.isfinite(value) else round(value, 5) for value in values.tolist()]


def _spread(count: int) -> np.ndarray:
    """Indices of evenly spread points, the first and the last among them."""
    spread = np.linspace(0, max(count - 1, 0), min(count, _MOST_POINTS))
    return np.unique(spread.astype(np.int64))
