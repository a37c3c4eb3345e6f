"""What kind of mistake each false positive is, and which labels are missed.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020,
arXiv 2008.08115), section 2. What its definitions leave open is decided as in docs/errors.md.

G: labels. D: detections. P: pairs of a detection and a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from smallobj.evaluation.metrics.matching import Matches, Pairs, match_detections, overlapping_boxes
from smallobj.evaluation.reading.tables import EvaluationSet


class Outcome(IntEnum):
    """What became of a detection; the kinds of errors of the paper, and two that are none."""

    IGNORED = -1
    CORRECT = 0
    CLASSIFICATION = 1
    LOCALISATION = 2
    BOTH = 3
    DUPLICATE = 4
    BACKGROUND = 5
    MISSED = 6  # of labels alone


ERROR_TYPES = tuple(outcome for outcome in Outcome if outcome > Outcome.CORRECT)


@dataclass(frozen=True)
class Errors:
    """The outcome of each detection and each label.

    Attributes:
        outcome: (D,) int8, an :class:`Outcome`. Ignored are detections on a crowd and those beyond
            the number that counts.
        label: (D,) int64, the label that the outcome concerns: that which a correct detection
            finds, a duplicate finds again, a wrong class or box nearly finds. -1: background, and
            ignored detections.
        iou: (D,) float64, with that label; 0 for none.
        finder: (G,) int64, the correct detection of a label, -1 for none.
        undetected: (G,) bool, labels without a correct detection; crowds never are.
        missed: (G,) bool, undetected labels which no classification or localisation error concerns.
        matches: the matching behind it all.
    """

    outcome: np.ndarray
    label: np.ndarray
    iou: np.ndarray
    finder: np.ndarray
    undetected: np.ndarray
    missed: np.ndarray
    matches: Matches

    def of_type(self, *types: Outcome) -> np.ndarray:
        """(D,) bool, detections with one of these outcomes."""
        chosen: np.ndarray = np.isin(self.outcome, types)
        return chosen

    @property
    def false_positives(self) -> np.ndarray:
        """(D,) bool, those of every type."""
        return self.outcome > Outcome.CORRECT


def find_errors(
    data: EvaluationSet,
    iou_threshold: float = 0.5,
    background_threshold: float = 0.1,
    *,
    max_detections: int = 100,
) -> Errors:
    """Gives each false positive its one error type, and finds the missed labels.

    The first of these rules that holds decides:

    1. Localisation: the nearest label of its class has an IoU in [background_threshold,
       iou_threshold).
    2. Classification: a label of another class has an IoU of iou_threshold or more.
    3. Duplicate: a label of its class has such an IoU, but a more confident detection has it.
    4. Both: a label of another class has an IoU of background_threshold or more.
    5. Background.

    The label concerned is the nearest one of those that the rule is about, found or not; of equally
    near ones the last in the file, as in the matching. Crowds are never concerned.

    Args:
        data: labels and detections.
        iou_threshold: the paper's t_f, the smallest IoU of a correct detection.
        background_threshold: the paper's t_b.
        max_detections: most confident detections of an image and class that count.

    Raises:
        ValueError: not 0 < background_threshold < iou_threshold <= 1.

    Source: TIDE (arXiv 2008.08115), section 2; the order of the rules is that of its released
    code, since the paper gives none.
    """
    if not 0 < background_threshold < iou_threshold <= 1:
        raise ValueError(
            "0 < background_threshold < iou_threshold <= 1 must hold, got "
            f"background_threshold {background_threshold}, iou_threshold {iou_threshold}"
        )
    matches = match_detections(data, iou_threshold, max_detections=max_detections)
    outcome, label, iou = _false_positives(data, matches, iou_threshold, background_threshold)
    right = ~matches.ignored & (matches.label >= 0)
    outcome[right] = Outcome.CORRECT
    label[right], iou[right] = matches.label[right], matches.iou[right]
    # Crowds have detections, but are never found.
    finder = np.where(matches.ignored_label, -1, matches.detection)
    undetected = ~matches.ignored_label & (finder < 0)
    missed = undetected.copy()
    missed[label[np.isin(outcome, (Outcome.CLASSIFICATION, Outcome.LOCALISATION))]] = False
    return Errors(outcome, label, iou, finder, undetected, missed, matches)


def _false_positives(
    data: EvaluationSet, matches: Matches, high: float, low: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, label and IoU (D,) each; detections that are no false positive stay ignored."""
    count = len(data.detections)
    wrong = ~matches.ignored & (matches.label < 0)
    pairs = _pairs(data, wrong, low)
    same = data.detections.categories[pairs.detection] == data.labels.categories[pairs.label]
    own, own_iou = _nearest(pairs, same, count)
    other, other_iou = _nearest(pairs, ~same, count)
    high = min(high, 1 - 1e-10)  # as in the matching
    # In the order of TIDE's released code: the first rule that holds decides.
    rules = (
        (Outcome.LOCALISATION, (own >= 0) & (own_iou < high), own, own_iou),
        (Outcome.CLASSIFICATION, (other >= 0) & (other_iou >= high), other, other_iou),
        (Outcome.DUPLICATE, own >= 0, own, own_iou),
        (Outcome.BOTH, other >= 0, other, other_iou),
    )
    outcome = np.where(wrong, Outcome.BACKGROUND, Outcome.IGNORED).astype(np.int8)
    label = np.full(count, -1, dtype=np.int64)
    iou = np.zeros(count)
    open_ = wrong.copy()
    for kind, holds, concerned, overlap in rules:
        chosen = open_ & holds
        outcome[chosen], label[chosen], iou[chosen] = kind, concerned[chosen], overlap[chosen]
        open_ &= ~chosen
    return outcome, label, iou


def _pairs(data: EvaluationSet, wrong: np.ndarray, low: float) -> Pairs:
    """False positives and the labels (no crowds) of any class that they overlap."""
    detections, labels = np.flatnonzero(wrong), np.flatnonzero(~data.labels.crowd)
    pairs = overlapping_boxes(
        data.detections.images[detections],
        data.detections.boxes[detections],
        data.labels.images[labels],
        data.labels.boxes[labels],
        data.labels.crowd[labels],
        low,
    )
    return Pairs(detections[pairs.detection], labels[pairs.label], pairs.iou)


def _nearest(pairs: Pairs, chosen: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest label (D,), -1 for none, and its IoU (D,), among the chosen pairs."""
    detection, label, iou = (column[chosen] for column in pairs)
    # The last pair of each detection has its largest IoU and, of equal ones, the last label.
    sequence = np.lexsort((label, iou, detection))
    last = np.flatnonzero(np.diff(detection[sequence], append=-1))
    ends = sequence[last]
    nearest, overlap = np.full(count, -1, dtype=np.int64), np.zeros(count)
    nearest[detection[ends]], overlap[detection[ends]] = label[ends], iou[ends]
    return nearest, overlap
