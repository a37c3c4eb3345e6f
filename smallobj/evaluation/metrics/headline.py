"""The headline figures of a set, each a function of how often every image counts.

I: images. K: classes. B: rows of image weights. C: distinct confidences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.challenge import challenge_labels, right_detections
from smallobj.evaluation.metrics.curves import (
    COCO_IOUS,
    Ranking,
    class_average_precision,
    class_rankings,
    mean_average_precision,
    mean_of_defined,
    mean_recall,
    pooled_ranking,
)
from smallobj.evaluation.metrics.matching import EVERY_AREA, Matches, match_detections
from smallobj.evaluation.metrics.misses import LAMR_RATES, LEAST_MISS_RATE
from smallobj.evaluation.metrics.size_bins import DEFAULT_BINS, SizeBin
from smallobj.evaluation.reading.tables import EvaluationSet

# Weights of detections held in memory at a time.
_BLOCK = 2_000_000
LOWER_IS_BETTER = frozenset({"LAMR"})


class PooledFigures(NamedTuple):
    """Figures of all classes in one list, (B,) float64 each.

    Attributes:
        precision: at the confidence with the best F1; NaN where no detection is right.
        recall: at that confidence; NaN without labels.
        f1: the best one, 0 where no detection is right, NaN without labels.
        lamr: log-average miss rate; NaN without labels.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    lamr: np.ndarray


class HeadlineFigures:
    """The figures of one set in [0, 1]; matched once for each rule, then weighed at will.

    A class without labels is left out of a mean, in the set and in any weighing of it. Only
    challenge_mAP50 counts such a class 0, and that for classes without labels in the whole set: a
    class that a draw happens to lack says nothing about the detector, and counting it 0 would
    shift the draws below the figure that they are about.
    """

    def __init__(
        self,
        data: EvaluationSet,
        *,
        bins: Sequence[SizeBin] = DEFAULT_BINS,
        max_detections: int = 100,
    ) -> None:
        """
        Args:
            data: labels and detections.
            bins: of sizes, for AP50 in each.
            max_detections: most confident detections of an image and class that count; the
                challenge has its own rule, 100 of an image.

        Raises:
            ValueError: no images, or two bins of one name.
        """
        if not len(data.image_ids):
            raise ValueError("headline figures need at least one image, got none")
        self.data = data
        self.max_detections = max_detections
        self._rankings: dict[tuple[float, tuple[float, float]], list[Ranking]] = {}
        self._by_key: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            # Functions, so that a set is matched only for the figures that are asked for.
            "AP": lambda rows: mean_average_precision(self._by_iou(), rows),
            "AP50": lambda rows: mean_average_precision([self._at(0.5)], rows),
            "AP75": lambda rows: mean_average_precision([self._at(0.75)], rows),
            "AR": lambda rows: mean_recall(self._by_iou(), rows),
            "challenge_mAP50": self._challenge,
            "precision": lambda rows: self._pooled(rows).precision,
            "recall": lambda rows: self._pooled(rows).recall,
            "F1": lambda rows: self._pooled(rows).f1,
            "LAMR": lambda rows: self._pooled(rows).lamr,
        }
        for size_bin in bins:
            key = "AP50_" + size_bin.name.replace(" ", "_")
            if key in self._by_key:
                raise ValueError(
                    f"each size bin needs a name of its own, got two {size_bin.name!r}"
                )
            self._by_key[key] = self._bin_figure(size_bin)

    @property
    def keys(self) -> tuple[str, ...]:
        """AP, AP50, AP75, AR, challenge_mAP50, precision, recall, F1, LAMR, AP50_<bin> each."""
        return tuple(self._by_key)

    def values(self, key: str, weights: np.ndarray | None = None) -> np.ndarray:
        """One figure; NaN where it isn't defined.

        precision and recall are those at the confidence with the best F1, which each row of
        weights chooses anew, as a user would on such a set.

        Args:
            key: one of ``keys``.
            weights: (I,) or (B, I) how often each image counts; None counts each once.

        Returns:
            float64, () or (B,).

        Raises:
            ValueError: an unknown key, or weights of the wrong number.
        """
        if key not in self._by_key:
            raise ValueError(f"unknown figure {key!r}; known are {', '.join(self.keys)}")
        images = len(self.data.image_ids)
        given = np.ones(images) if weights is None else np.asarray(weights)
        if given.shape[-1] != images:
            raise ValueError(f"{images} images need as many weights, got {given.shape[-1]}")
        rows = np.atleast_2d(given)
        columns = max(len(self.data.detections), len(self.data.labels), 1)
        step = max(_BLOCK // columns, 1)
        parts = [self._by_key[key](rows[i : i + step]) for i in range(0, len(rows), step)]
        result = np.concatenate(parts) if parts else np.zeros(0)
        return result if given.ndim == 2 else result[0]

    def _match(self, iou: float, area_range: tuple[float, float] = EVERY_AREA) -> Matches:
        return match_detections(
            self.data, iou, area_range=area_range, max_detections=self.max_detections
        )

    @cached_property
    def _matches_at_half(self) -> Matches:
        """Behind the classes' rankings at IoU 0.5 and the pooled one."""
        return self._match(0.5)

    @cached_property
    def _pooled_ranking(self) -> Ranking:
        return pooled_ranking(self.data, self._matches_at_half)

    @cached_property
    def _challenge_rankings(self) -> list[Ranking]:
        return challenge_rankings(self.data)

    def _at(self, iou: float, area_range: tuple[float, float] = EVERY_AREA) -> list[Ranking]:
        """K rankings."""
        key = (iou, area_range)
        # Kept, since AP, AP50 and AP75 share thresholds and a bootstrap asks for each figure again.
        if key not in self._rankings:
            at_half = key == (0.5, EVERY_AREA)
            matches = self._matches_at_half if at_half else self._match(iou, area_range)
            self._rankings[key] = class_rankings(self.data, matches)
        return self._rankings[key]

    def _by_iou(self) -> list[list[Ranking]]:
        return [self._at(iou) for iou in COCO_IOUS]

    def _bin_figure(self, size_bin: SizeBin) -> Callable[[np.ndarray], np.ndarray]:
        return lambda rows: mean_average_precision([self._at(0.5, size_bin.area_range)], rows)

    def _pooled(self, rows: np.ndarray) -> PooledFigures:
        return pooled_figures(self._pooled_ranking, rows)

    def _challenge(self, rows: np.ndarray) -> np.ndarray:
        rankings = self._challenge_rankings
        known = sum(len(ranking.label_images) > 0 for ranking in rankings)
        mean = mean_of_defined(class_average_precision(rankings, rows, "area"))
        # Without any label in the whole set every class counts 0; in a draw nothing is known.
        scaled: np.ndarray = mean * known / len(rankings) if known else np.zeros(len(rows))
        return scaled


def challenge_rankings(data: EvaluationSet) -> list[Ranking]:
    """K rankings by the challenge's rules; crowds, which it doesn't have, are left out.

    The mean over K of their AP by the rule "area", a class without labels counting 0, is the
    score of :func:`smallobj.evaluation.metrics.challenge.challenge_map`.
    """
    classes = len(data.class_names)
    labels, found = challenge_labels(data), data.detections
    order, right = right_detections(data)
    images, scores, categories = found.images[order], found.scores[order], found.categories[order]
    rankings = []
    for k in range(classes):
        own = categories == k
        wanted = labels.images[labels.categories == k]
        rankings.append(Ranking(scores[own], right[own], images[own], order[own], wanted))
    return rankings


def pooled_figures(ranking: Ranking, weights: np.ndarray) -> PooledFigures:
    """Best F1 and log-average miss rate for each row of image weights.

    The same as ``operating_points.best_point`` and ``misses.log_average_miss_rate`` of each row.

    Args:
        ranking: of all classes.
        weights: (B, I).
    """
    counts = weights[:, ranking.images].astype(np.float64)
    total = weights[:, ranking.label_images].sum(axis=1).astype(np.float64)[:, None]
    last = np.flatnonzero(np.append(ranking.scores[1:] != ranking.scores[:-1], True))
    last = last[: len(ranking.scores)]
    # Before the first confidence nothing is shown.
    start = np.zeros((len(weights), 1))
    right = np.hstack([start, np.cumsum(counts * ranking.right, axis=1)[:, last]])
    shown = np.hstack([start, np.cumsum(counts, axis=1)[:, last]])
    # From the counts, as in ``OperatingCurve.f1``: equal fractions are equal floats, and of these
    # argmax takes the first, which has the highest confidence.
    f1 = _ratio(2 * right, shown + total)
    f1[np.broadcast_to(total <= 0, f1.shape)] = np.nan
    best = np.argmax(f1, axis=1)[:, None]
    hits = np.take_along_axis(right, best, axis=1)
    false_positives = (shown - right) / weights.sum(axis=1, dtype=np.float64)[:, None]
    missed = 1 - _ratio(right, np.broadcast_to(total, right.shape))
    logs = np.zeros(len(weights))
    for rate in LAMR_RATES:
        # False positives rise along a row, so their number finds the last place within the rate; a
        # searchsorted takes one row only.
        place = (false_positives <= rate).sum(axis=1)[:, None] - 1
        logs += np.log(np.maximum(np.take_along_axis(missed, place, axis=1)[:, 0], LEAST_MISS_RATE))
    return PooledFigures(
        _ratio(hits, np.take_along_axis(shown, best, axis=1))[:, 0],
        _ratio(hits, total)[:, 0],
        np.take_along_axis(f1, best, axis=1)[:, 0],
        np.exp(logs / len(LAMR_RATES)),
    )


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(np.shape(parts), np.nan), where=wholes > 0)
