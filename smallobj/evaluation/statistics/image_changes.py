"""Which images gained and which lost from one set of detections to another.

I: images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.curves import pooled_ranking
from smallobj.evaluation.metrics.matching import match_detections
from smallobj.evaluation.metrics.operating_points import best_point, operating_curve
from smallobj.evaluation.reading.tables import EvaluationSet


class ImageCounts(NamedTuple):
    """What a user sees of each image at one confidence, at IoU 0.5.

    Attributes:
        confidence: detections of at least this score are shown; inf where none is.
        found: (I,) int64, labels that are found.
        wrong: (I,) int64, false positives.
    """

    confidence: float
    found: np.ndarray
    wrong: np.ndarray


class ImageChange(NamedTuple):
    """One image in A and in B; ``change`` is B's found labels less false positives, less A's."""

    image: int
    file_name: str
    change: int
    found: tuple[int, int]
    wrong: tuple[int, int]


def image_counts(data: EvaluationSet, *, max_detections: int = 100) -> ImageCounts:
    """Found labels and false positives of each image, shown from the confidence with the best F1.

    All detections, down to the least confident, would drown the found labels in false positives
    that no user would look at.

    Args:
        data: labels and detections.
        max_detections: most confident detections of an image and class that count.
    """
    matches = match_detections(data, 0.5, max_detections=max_detections)
    ranking = pooled_ranking(data, matches)
    best = best_point(operating_curve(ranking))
    # Where no detection is right, all that is shown would be false positives.
    confidence = math.inf if best is None else best.confidence
    shown = ranking.scores >= confidence
    images = len(data.image_ids)
    return ImageCounts(
        confidence,
        np.bincount(ranking.images[shown & ranking.right], minlength=images),
        np.bincount(ranking.images[shown & ~ranking.right], minlength=images),
    )


def image_changes(
    data: EvaluationSet, a: ImageCounts, b: ImageCounts, most: int = 10
) -> tuple[list[ImageChange], list[ImageChange]]:
    """The images that gained most from A to B, and those that lost most; of equals the first.

    Args:
        data: names the images.
        a, b: of ``image_counts``, each at a confidence of its own.
        most: images in each list, at most; images without change are in neither.
    """
    change = (b.found - b.wrong) - (a.found - a.wrong)
    # Stable, so that of equal changes the first image comes first on every machine.
    gained = [int(i) for i in np.argsort(-change, kind="stable")[:most] if change[i] > 0]
    lost = [int(i) for i in np.argsort(change, kind="stable")[:most] if change[i] < 0]

    def entry(i: int) -> ImageChange:
        found, wrong = (int(a.found[i]), int(b.found[i])), (int(a.wrong[i]), int(b.wrong[i]))
        return ImageChange(i, str(data.file_names[i]), int(change[i]), found, wrong)

    return [entry(i) for i in gained], [entry(i) for i in lost]
