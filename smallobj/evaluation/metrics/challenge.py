"""The 2021 Small Object AI Challenge's mAP50, as its scorer computed it.

G: labels. D: detections. N: detections that count. K: classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.matching import NO_PAIRS, Pairs, most_confident, pairs_in_groups
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


class ChallengeScore(NamedTuple):
    """mean: the mAP50 in [0, 1]; per_class: (K,) AP in [0, 1], NaN for a class without labels."""

    mean: float
    per_class: np.ndarray


def challenge_labels(data: EvaluationSet) -> LabelTable:
    """The labels that count: crowds, which the challenge doesn't have, are left out."""
    return data.labels[~data.labels.crowd]


def challenge_map(
    data: EvaluationSet,
    *,
    iou_threshold: float = 0.5,
    plus_one: bool = True,
    fall_back: bool = False,
    max_per_image: int = 100,
) -> ChallengeScore:
    """Mean over all classes of the area under the precision-recall curve.

    Crowds are left out of the labels. Rules, in the order in which they act:
      1. Of each image only the ``max_per_image`` most confident detections count, of all classes
         together. Equal scores keep the order given, here and below.
      2. A detection looks at the labels of its image and class, and only at the one with the
         largest IoU (the first of equals). It is right if that IoU is at least the threshold and
         no more confident detection was right about it; otherwise it is wrong, also where another
         label would fit. So a duplicate is wrong.
      3. Precision and recall are taken after each detection in order of confidence over all
         images. AP is the area under precision made monotone from the right (every point, not
         11), as in the VOC development kit since 2010.
      4. The mean is over all K classes; a class without labels counts 0.

    Args:
        data: labels and detections.
        iou_threshold: smallest IoU of a right detection.
        plus_one: measure width and height of boxes and of their intersection as x2 - x1 + 1, as
            the scorer does. Lifts the IoU of small boxes: 10 px moved by 1.8 px each way has
            0.538 in place of 0.506.
        fall_back: a detection whose best label is taken may take the next one over the
            threshold (VOC and the challenge: no; COCO: yes).
        max_per_image: detections that count in an image.
    """
    order, right = right_detections(
        data,
        iou_threshold=iou_threshold,
        plus_one=plus_one,
        fall_back=fall_back,
        max_per_image=max_per_image,
    )
    classes = len(data.class_names)
    categories = data.detections.categories[order]
    counts = np.bincount(challenge_labels(data).categories, minlength=classes)
    per_class = np.array(
        [_average_precision(right[categories == k], counts[k]) for k in range(classes)]
    )
    # Over all classes: the scorer counts one without labels as 0, where COCO leaves it out.
    return ChallengeScore(float(np.nan_to_num(per_class).sum() / classes), per_class)


def right_detections(
    data: EvaluationSet,
    *,
    iou_threshold: float = 0.5,
    plus_one: bool = True,
    fall_back: bool = False,
    max_per_image: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Rules 1 and 2 of ``challenge_map``: what counts, and what of it is right.

    Args:
        data and the options: as in ``challenge_map``.

    Returns:
        (N,) int64 detections that count, from the most confident on, and (N,) bool.
    """
    labels, detections, classes = challenge_labels(data), data.detections, len(data.class_names)
    # By image, not by image and class as COCO's limit.
    order = most_confident(detections.scores, detections.images, max_per_image)
    pad = 1.0 if plus_one else 0.0
    rank, target = _overlapping(detections[order], labels, classes, iou_threshold, pad)
    right = np.zeros(len(order), dtype=bool)
    right[_claims(rank, target, fall_back)] = True
    return order, right


def _overlapping(
    detections: DetectionTable, labels: LabelTable, classes: int, threshold: float, pad: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (detection, label) of one image and class with IoU >= threshold, best label first.

    Args:
        detections: from the most confident on.
        labels: those that count.
        classes: K.
        threshold: IoU.
        pad: added to every side.

    Returns:
        two (P,) index arrays, ordered by detection, then falling IoU, then label.
    """
    parts = [NO_PAIRS]
    own, other = (table.images * classes + table.categories for table in (detections, labels))
    for detection, label in pairs_in_groups(own, other):
        iou = _paired_iou(detections.boxes[detection], labels.boxes[label], pad)
        # Safe before the best label is chosen: if the best one falls short, all do.
        near = iou >= threshold
        parts.append(Pairs(detection[near], label[near], iou[near]))
    detection, label, iou = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    # The last key counts first; the label decides last, so that of equal IoUs the first wins.
    order = np.lexsort((label, -iou, detection))
    return detection[order], label[order]


def _paired_iou(a: np.ndarray, b: np.ndarray, pad: float) -> np.ndarray:
    """IoU of P pairs of boxes (P, 4) whose sides, and their intersection's, grow by ``pad``."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]) + pad
    inter = sides.clip(min=0).prod(axis=1)
    union = (a[:, 2:] - a[:, :2] + pad).prod(axis=1) + (b[:, 2:] - b[:, :2] + pad).prod(axis=1)
    # Without plus_one a union may be 0; 0 / tiny is 0.
    return inter / np.maximum(union - inter, np.finfo(np.float64).tiny)


def _claims(rank: np.ndarray, target: np.ndarray, fall_back: bool) -> np.ndarray:
    """Ranks of the right detections among the ordered pairs of ``_overlapping``."""
    if not fall_back:
        # np.unique gives first places: the best label of each detection, then of those that want
        # one label the most confident. The others stay wrong, since VOC gives no second choice.
        first = np.unique(rank, return_index=True)[1]
        rank, target = rank[first], target[first]
        return rank[np.unique(target, return_index=True)[1]]
    # A loop, since what a detection may take depends on all before it.
    right: dict[int, int] = {}
    taken: set[int] = set()
    for detection, wanted in zip(rank.tolist(), target.tolist(), strict=True):
        if detection not in right and wanted not in taken:
            right[detection] = wanted
            taken.add(wanted)
    return np.array(list(right), dtype=np.int64)


def _average_precision(right: np.ndarray, num_truth: int) -> float:
    """Area under the monotone precision-recall curve of a class; NaN without ground truth.

    Args:
        right: (D,) bool, from the most confident detection on.
        num_truth: ground truths of the class.
    """
    if num_truth == 0:
        return float("nan")
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall rises by 1 / num_truth at each right detection and nowhere else.
    return float(envelope[right].sum() / num_truth)
