"""AP and recall by the size of objects, in bins of any bounds.

Size is the square root of the area. K: classes. T: IoU thresholds. S: bins.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.curves import (
    COCO_IOUS,
    Ranking,
    class_average_precision,
    iou_rankings,
    mean_of_defined,
    recall,
)
from smallobj.evaluation.reading.tables import EvaluationSet

# As pycocotools has it: larger than any object.
_OPEN_END = 1e5


class SizeBin(NamedTuple):
    """Objects of ``low`` to ``high`` px, the square root of their area; both ends belong to it."""

    name: str
    low: float
    high: float

    @property
    def area_range(self) -> tuple[float, float]:
        """px²."""
        return self.low**2, self.high**2


def _between(bounds: Sequence[float]) -> tuple[SizeBin, ...]:
    pairs = itertools.pairwise(bounds)
    return tuple(SizeBin(f"{low:g}-{high:g}", low, high) for low, high in pairs)


DEFAULT_BINS = _between((10, 20, 40, 70, 100))
# Lin et al., Microsoft COCO, arXiv 1405.0312, and pycocotools: small, medium, large.
COCO_BINS = (
    SizeBin("small", 0, 32),
    SizeBin("medium", 32, 96),
    SizeBin("large", 96, _OPEN_END),
)
# Wang et al., Tiny Object Detection in Aerial Images, ICPR 2020; the same in AI-TOD-v2 (Xu et al.,
# arXiv 2206.13996). The benchmark's fork of pycocotools leaves both ends open, 0 to 8 px and from
# 32 px on: "0,8,16,32,inf" gives its ranges. It also takes max_detections to be 1500, not 100.
AI_TOD_BINS = (
    SizeBin("very tiny", 2, 8),
    SizeBin("tiny", 8, 16),
    SizeBin("small", 16, 32),
    SizeBin("medium", 32, 64),
)
NAMED_BINS = {"default": DEFAULT_BINS, "coco": COCO_BINS, "ai-tod": AI_TOD_BINS}


class SizeBinScores(NamedTuple):
    """Scores of each class in one bin, NaN for a class without labels there.

    Attributes:
        bin: the bin.
        labels: (K,) int64, labels in the bin, without crowds.
        ap: (K,) float64 in [0, 1], mean over the IoU thresholds.
        ap50: (K,) AP at IoU 0.5.
        recall50: (K,) found labels among all at IoU 0.5.
        average_recall: (K,) recall, mean over the IoU thresholds (COCO's AR).
    """

    bin: SizeBin
    labels: np.ndarray
    ap: np.ndarray
    ap50: np.ndarray
    recall50: np.ndarray
    average_recall: np.ndarray

    def summary(self) -> dict[str, float]:
        """Labels of all classes, and the means over the classes that have labels."""
        named = self._asdict()
        means = {key: float(mean_of_defined(named[key])) for key in self._fields[2:]}
        return {"labels": float(self.labels.sum()), **means}


def parse_size_bins(text: str) -> tuple[SizeBin, ...]:
    """Bins from text.

    Args:
        text: a name ("default", "coco", "ai-tod"), or bounds in px such as "10,20,40,70,100".
            "inf" as the last bound leaves the last bin open.

    Raises:
        ValueError: fewer than two bounds, or bounds that aren't numbers of at least 0 that rise.
    """
    name = text.strip().lower()
    if name in NAMED_BINS:
        return NAMED_BINS[name]
    rule = f"size bins must be {', '.join(NAMED_BINS)} or bounds in px such as 10,20,40,70,100"
    try:
        bounds = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{rule}, got {text!r}") from None
    if len(bounds) < 2:
        raise ValueError(f"{rule}, at least two of them, got {text!r}")
    if not (bounds[0] >= 0 and all(a < b for a, b in itertools.pairwise(bounds))):
        raise ValueError(f"{rule}, from 0 on and each larger than the one before, got {text!r}")
    return _between(bounds)


def size_rankings(
    data: EvaluationSet,
    bins: Sequence[SizeBin] = DEFAULT_BINS,
    *,
    iou_thresholds: Sequence[float] = COCO_IOUS,
    max_detections: int = 100,
) -> list[list[list[Ranking]]]:
    """For each of S bins, T lists of K rankings: the base of scores and of their intervals.

    By COCO's rule for area ranges: labels outside a bin are neither found nor missed, and a
    detection that finds one of them, or finds none and lies outside the bin itself, is ignored.
    A label exactly on a bound belongs to both bins.
    """
    return [
        iou_rankings(
            data, iou_thresholds, area_range=size_bin.area_range, max_detections=max_detections
        )
        for size_bin in bins
    ]


def size_bin_scores(
    data: EvaluationSet,
    bins: Sequence[SizeBin] = DEFAULT_BINS,
    *,
    max_detections: int = 100,
) -> list[SizeBinScores]:
    """Scores of S bins over COCO's ten IoU thresholds, each image counting once.

    Args:
        data: labels and detections.
        bins: S of them; they may overlap.
        max_detections: most confident detections of an image and class that count.
    """
    rankings = size_rankings(data, bins, max_detections=max_detections)
    return [_scores(*pair) for pair in zip(bins, rankings, strict=True)]


def labels_outside(data: EvaluationSet, bins: Sequence[SizeBin]) -> int:
    """How many labels, crowds apart, lie in none of the bins."""
    areas = data.labels.areas[~data.labels.crowd]
    inside = np.zeros(len(areas), dtype=bool)
    for size_bin in bins:
        low, high = size_bin.area_range
        inside |= (areas >= low) & (areas <= high)
    return int((~inside).sum())


def _scores(size_bin: SizeBin, rankings: Sequence[Sequence[Ranking]]) -> SizeBinScores:
    ap = np.stack([class_average_precision(row) for row in rankings])
    recalls = np.array([[recall(ranking) for ranking in row] for row in rankings])
    at_half = COCO_IOUS.index(0.5)
    # Which classes have labels doesn't depend on the IoU, so plain means keep their NaN.
    return SizeBinScores(
        size_bin,
        np.array([len(ranking.label_images) for ranking in rankings[at_half]], dtype=np.int64),
        ap.mean(axis=0),
        ap[at_half],
        recalls[at_half],
        recalls.mean(axis=0),
    )
