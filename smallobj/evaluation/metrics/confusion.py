"""Which classes are taken for which, and what is missed or made up, at one confidence.

G: labels. D: detections. K: classes; K itself stands for the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smallobj.checks import check_between
from smallobj.evaluation.metrics.matching import match_detections, overlapping_boxes
from smallobj.evaluation.reading.tables import EvaluationSet

BACKGROUND = "background"


@dataclass(frozen=True)
class ConfusedPair:
    """One cell off the diagonal.

    Attributes:
        true: name of the labels' class, or "background".
        found: name of the detections' class, or "background".
        count: how often.
        share: of the labels of class ``true``; of the detections of class ``found`` where ``true``
            is the background.
    """

    true: str
    found: str
    count: int
    share: float


@dataclass(frozen=True)
class ConfusionMatrix:
    """Labels by class against detections by class.

    Attributes:
        counts: (K + 1, K + 1) int64. Row: class of the label, last a detection without a label.
            Column: class of the detection, last a label without a detection. The last cell is 0.
        class_names: K names.
        label: (D,) int64, the label that a detection is compared with; -1 for none, and for
            detections that don't count.
        detection: (G,) int64, the detection that a label is compared with; -1 for none.
        counted: (D,) bool, detections that are in the matrix.
    """

    counts: np.ndarray
    class_names: Sequence[str]
    label: np.ndarray
    detection: np.ndarray
    counted: np.ndarray

    @property
    def by_label(self) -> np.ndarray:
        """(K + 1, K + 1) float64, rows that add up to 1: recall on the diagonal.

        NaN in rows without anything.
        """
        return _shares(self.counts, axis=1)

    @property
    def by_detection(self) -> np.ndarray:
        """(K + 1, K + 1) float64, columns that add up to 1: precision on the diagonal.

        NaN in columns without anything.
        """
        return _shares(self.counts, axis=0)

    @property
    def by_total(self) -> np.ndarray:
        """(K + 1, K + 1) float64, all cells add up to 1; NaN if there is nothing."""
        return _shares(self.counts, axis=None)

    def most_confused(self, most: int = 10, *, background: bool = False) -> list[ConfusedPair]:
        """The largest cells off the diagonal that aren't 0; of equal ones the larger share first.

        Args:
            most: cells at the most.
            background: whether missed labels and detections without a label take part.
        """
        names = [*self.class_names, BACKGROUND]
        size = len(names) if background else len(names) - 1
        by_label, by_detection = self.by_label, self.by_detection
        pairs = []
        for true, found in np.argwhere(self.counts[:size, :size] > 0).tolist():
            if true != found:
                share = (by_detection if true == len(names) - 1 else by_label)[true, found]
                count = int(self.counts[true, found])
                pairs.append(ConfusedPair(names[true], names[found], count, float(share)))
        return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[: max(most, 0)]


def _shares(counts: np.ndarray, axis: int | None) -> np.ndarray:
    total = np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def confusion_matrix(
    data: EvaluationSet, score_threshold: float, iou_threshold: float = 0.5
) -> ConfusionMatrix:
    """Matches labels and detections whatever their classes, and counts the pairs by class.

    From the most confident detection on, each takes the free label of its image with the largest
    IoU, of any class. So a label with a detection of a wrong class, and a less confident one of the
    right class, counts as confused, and the right one as a detection without a label: that is what
    somebody sees who looks at all detections over the threshold. Ties: of equally confident
    detections those go first that overlap a label of their own class by ``iou_threshold``, then
    those that were given first; of labels with equal IoU the last in the file is taken, whatever
    its class.

    Crowds are no labels here. A detection that finds only a crowd, of any class, isn't counted.
    There is no limit to the detections of an image.

    Args:
        data: labels and detections.
        score_threshold: smallest confidence of a detection that counts.
        iou_threshold: smallest IoU of a pair.

    Raises:
        ValueError: thresholds that are no numbers, or an IoU threshold outside (0, 1].
    """
    check_between("iou_threshold", iou_threshold, 0, 1, "(]")
    if np.isnan(score_threshold):
        raise ValueError(f"score_threshold must be a number, got {score_threshold}")
    chosen = np.flatnonzero(data.detections.scores >= score_threshold)
    # The matching keeps the order of equal scores, so this order is what breaks their ties. Stable:
    # those alike in this, too, stay as given.
    chosen = chosen[np.argsort(~_overlaps_own_class(data, chosen, iou_threshold), kind="stable")]
    matches = match_detections(
        data.with_detections(data.detections[chosen]),
        iou_threshold,
        max_detections=max(len(chosen), 1),
        any_class=True,
    )
    count = len(data.detections)
    label, counted = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=bool)
    counted[chosen] = ~matches.ignored
    label[chosen] = np.where(matches.ignored, -1, matches.label)
    detection = np.full(len(data.labels), -1, dtype=np.int64)
    matched = np.flatnonzero(label >= 0)
    detection[label[matched]] = matched
    return ConfusionMatrix(
        _counts(data, label, detection, counted), data.class_names, label, detection, counted
    )


def _overlaps_own_class(data: EvaluationSet, chosen: np.ndarray, iou: float) -> np.ndarray:
    """Whether each chosen detection overlaps a label (no crowd) of its own class; bool."""
    labels, detections = data.labels[~data.labels.crowd], data.detections[chosen]
    classes = len(data.class_names)
    pairs = overlapping_boxes(
        detections.images * classes + detections.categories,
        detections.boxes,
        labels.images * classes + labels.categories,
        labels.boxes,
        labels.crowd,
        # As in the matching.
        min(iou, 1 - 1e-10),
    )
    return np.isin(np.arange(len(chosen)), pairs.detection)


def _counts(
    data: EvaluationSet, label: np.ndarray, detection: np.ndarray, counted: np.ndarray
) -> np.ndarray:
    size = len(data.class_names) + 1
    # What is matched with nothing has label -1, so the background's row goes to the end.
    true = np.append(data.labels.categories, size - 1)[label[counted]]
    found = data.detections.categories[counted]
    missed = data.labels.categories[(detection < 0) & ~data.labels.crowd]
    cells = np.concatenate([true * size + found, missed * size + size - 1])
    counts: np.ndarray = np.bincount(cells, minlength=size * size).reshape(size, size)
    return counts.astype(np.int64)
