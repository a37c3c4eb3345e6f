"""Which detection finds which label, by COCO's rules; the base of all counts and curves.

G: labels. D: detections. P: pairs of a detection and a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.reading.tables import EvaluationSet, box_areas

# Detections whose pairs are held in memory at a time.
_BLOCK = 8192
# px²; pycocotools' range "all" ends here, too.
EVERY_AREA = (0.0, 1e10)


class Matches(NamedTuple):
    """What became of each detection and each label at one IoU threshold.

    Attributes:
        order: (D',) int64, the detections that count, by falling confidence; equal scores keep
            their order.
        label: (D,) int64, the label that a detection finds, -1 for none. Several detections may
            find the same crowd.
        iou: (D,) float64, with that label; 0 for none.
        ignored: (D,) bool, neither right nor wrong: it finds an ignored label, or finds none and
            lies outside the range of areas. Detections that don't count are ignored, too.
        ignored_label: (G,) bool, crowds and labels outside the range of areas.
        detection: (G,) int64, the detection that finds a label (of a crowd, the first), -1: none.
    """

    order: np.ndarray
    label: np.ndarray
    iou: np.ndarray
    ignored: np.ndarray
    ignored_label: np.ndarray
    detection: np.ndarray


class Pairs(NamedTuple):
    """Overlapping pairs within an image: index of detection, of label, and IoU, (P,) each."""

    detection: np.ndarray
    label: np.ndarray
    iou: np.ndarray


NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def match_detections(
    data: EvaluationSet,
    iou_threshold: float = 0.5,
    *,
    area_range: tuple[float, float] = EVERY_AREA,
    max_detections: int = 100,
    any_class: bool = False,
) -> Matches:
    """COCO's matching, as pycocotools does it.

    In order of falling confidence, each detection takes the free label of its image and class with
    the largest IoU; of equal IoUs the last label in the file. It takes an ignored label only if no
    other fits. The IoU with a crowd is the intersection over the detection's area.

    Args:
        data: labels and detections.
        iou_threshold: smallest IoU of a match.
        area_range: px², both ends belong to it.
        max_detections: most confident detections of an image and class that count.
        any_class: match across classes, too; ``max_detections`` then counts per image.
    """
    labels, detections = data.labels, data.detections
    groups = (
        (labels.images, detections.images)
        if any_class
        else (
            _group(data, labels.images, labels.categories),
            _group(data, detections.images, detections.categories),
        )
    )
    # The limit comes before the matching, as in pycocotools: what is beyond it takes no label.
    order = most_confident(detections.scores, groups[1], max_detections)
    pairs = overlapping_boxes(
        groups[1],
        detections.boxes,
        groups[0],
        labels.boxes,
        labels.crowd,
        # As pycocotools: at a threshold of 1 a rounding must not lose equal boxes.
        min(iou_threshold, 1 - 1e-10),
    )
    low, high = area_range
    ignored_label = labels.crowd | (labels.areas < low) | (labels.areas > high)
    label, iou = _greedy(pairs, order, len(detections), ignored_label, labels.crowd)
    areas = detections.areas
    # Counts only where no label is found: a detection that finds a label in the range is right,
    # whatever its own area.
    outside = (areas < low) | (areas > high)
    ignored = np.where(label >= 0, ignored_label[label] if len(labels) else False, outside)
    counts = np.zeros(len(detections), dtype=bool)
    counts[order] = True
    detection = np.full(len(labels), -1, dtype=np.int64)
    finders = order[::-1][label[order[::-1]] >= 0]
    detection[label[finders]] = finders  # of several the last one written, the most confident
    return Matches(order, label, iou, ignored | ~counts, ignored_label, detection)


def _group(data: EvaluationSet, images: np.ndarray, categories: np.ndarray) -> np.ndarray:
    # One number for image and class, so that one sort brings together what may match.
    return images * len(data.class_names) + categories


def most_confident(scores: np.ndarray, groups: np.ndarray, most: int) -> np.ndarray:
    """Indices by falling score, at most ``most`` of a group; equal scores keep their order."""
    order = np.argsort(-scores, kind="stable")
    # Stable here and above, or the cut would choose other ones of equal scores than pycocotools.
    by_group = order[np.argsort(groups[order], kind="stable")]
    sorted_groups = groups[by_group]
    place = np.arange(len(order)) - np.searchsorted(sorted_groups, sorted_groups, side="left")
    counts = np.zeros(len(order), dtype=bool)
    counts[by_group[place < most]] = True
    return order[counts[order]]


def limit_warning(data: EvaluationSet, most: int, key: str) -> str:
    """A sentence if a limit of detections per image and class leaves some out, else "".

    Args:
        data: labels and detections.
        most: the limit.
        key: its name.
    """
    table = data.detections
    groups = _group(data, table.images, table.categories)
    numbers, counts = np.unique(groups, return_counts=True)
    beyond = (counts - most).clip(min=0)
    if not beyond.any():
        return ""
    images = len(np.unique(numbers[beyond > 0] // len(data.class_names)))
    return (
        f"{key} {most} per image and class leaves out {beyond.sum()} detections of {images} images"
    )


def overlapping_boxes(
    detection_groups: np.ndarray,
    detection_boxes: np.ndarray,
    label_groups: np.ndarray,
    label_boxes: np.ndarray,
    crowd: np.ndarray,
    threshold: float,
) -> Pairs:
    """All pairs of one group with an IoU of at least ``threshold`` (> 0), in no special order.

    Args:
        detection_groups, label_groups: (D,) and (G,) int64; only equal ones are compared.
        detection_boxes, label_boxes: (D, 4) and (G, 4) XYXY.
        crowd: (G,) bool; there the intersection is divided by the detection's area.
        threshold: smallest IoU.
    """
    # Once a box, not once a pair: of dense images there are many more pairs.
    own_areas, label_areas = box_areas(detection_boxes), box_areas(label_boxes)
    parts = [NO_PAIRS]
    for detection, label in pairs_in_groups(detection_groups, label_groups):
        boxes = (detection_boxes[detection], label_boxes[label])
        iou = _paired_iou(*boxes, own_areas[detection], label_areas[label], crowd[label])
        near = iou >= threshold
        parts.append(Pairs(detection[near], label[near], iou[near]))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def pairs_in_groups(
    detection_groups: np.ndarray, label_groups: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of one group, as two (P,) index arrays, a block of detections at a time.

    Args:
        detection_groups, label_groups: (D,) and (G,) int64.
    """
    by_group = np.argsort(label_groups, kind="stable")
    sorted_groups = label_groups[by_group]
    start = np.searchsorted(sorted_groups, detection_groups, side="left")
    length = np.searchsorted(sorted_groups, detection_groups, side="right") - start
    # In blocks: all pairs of a large set at once would not fit into memory.
    for first in range(0, len(detection_groups), _BLOCK):
        lengths = length[first : first + _BLOCK]
        detection = first + np.repeat(np.arange(len(lengths)), lengths)
        nth = np.arange(len(detection)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        yield detection, by_group[start[detection] + nth]


def _paired_iou(
    detections: np.ndarray,
    labels: np.ndarray,
    own: np.ndarray,
    label_areas: np.ndarray,
    crowd: np.ndarray,
) -> np.ndarray:
    sides = np.minimum(detections[:, 2:], labels[:, 2:]) - np.maximum(
        detections[:, :2], labels[:, :2]
    )
    shared = sides.clip(min=0).prod(axis=1)
    union = own + label_areas - shared
    whole = np.where(crowd, own, union)
    # Two boxes without area have an IoU of 0, not 0 / 0.
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def _greedy(
    pairs: Pairs, order: np.ndarray, count: int, ignored_label: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Label (D,) of each of D = ``count`` detections or -1, and its IoU (D,)."""
    rank = np.full(count, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    kept = rank[pairs.detection] >= 0
    detection, label, iou = (column[kept] for column in pairs)
    # By confidence, then labels that count, then in the order of the file: pycocotools sorts the
    # ignored labels to the end, so that one is taken only where no other fits.
    sequence = np.lexsort((label, ignored_label[label], rank[detection]))
    # A loop, since what a detection may take depends on all before it. Over lists: to read single
    # elements of arrays is far slower.
    taken = np.zeros(len(crowd), dtype=bool).tolist()
    is_crowd, is_ignored = crowd.tolist(), ignored_label.tolist()
    best = np.full(count, -1, dtype=np.int64)
    best_iou = np.zeros(count)
    last, found, found_iou = -1, -1, 0.0
    columns = (detection[sequence].tolist(), label[sequence].tolist(), iou[sequence].tolist())
    for finder, wanted, overlap in zip(*columns, strict=True):
        if finder != last:
            # Only now is it known which label the detection before has taken.
            if found >= 0:
                taken[found] = True
            last, found, found_iou = finder, -1, 0.0
        # A crowd stands for many objects: any number of detections may find it.
        if taken[wanted] and not is_crowd[wanted]:
            continue
        if found >= 0 and is_ignored[wanted] and not is_ignored[found]:
            continue
        # Not >: of labels with equal IoU pycocotools takes the last one.
        if overlap >= found_iou:
            found, found_iou = wanted, overlap
            best[finder], best_iou[finder] = wanted, overlap
    return best, best_iou
