"""COCO's precision and recall of an EvaluationSet, by the C++ code of faster-coco-eval.

Only its compiled module is used: the Python around it wants a dict for every box, in a form that
takes longer to build than the evaluation takes.

I: images. G: labels. D: detections. K: classes. T: IoU thresholds. A: area ranges.
A group is what COCO matches at a time: one class in one image.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import faster_coco_eval.core.mask as mask_api
import faster_coco_eval.faster_eval_api_cpp as compiled
import numpy as np
from faster_coco_eval.core.cocoeval import Params

from smallobj.checks import check_at_least
from smallobj.evaluation.metrics.matching import EVERY_AREA, overlapping_boxes
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable

# linspace, as pycocotools: other ways to write these numbers differ in the last bit, here and in
# RECALLS, which moves matches and recalls that meet one exactly.
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
# px²: all, under 32², to 96², and larger.
COCO_AREAS = (EVERY_AREA, (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e5**2))
RECALLS = np.linspace(0, 1, 101)
# The compiled code uses ids only to tell a match from 0, none.
_SOME_ID = 1


class CocoCurves(NamedTuple):
    """What pycocotools leaves in ``eval``, for one number of detections.

    Attributes:
        precision: (T, 101, K, A), largest precision at a recall of 0, 0.01 to 1 or more; -1 for a
            class without a label in the range.
        recall: (T, K, A), recall of all detections that count; -1 as above.
    """

    precision: np.ndarray
    recall: np.ndarray


class _Groups(NamedTuple):
    """Rows sorted by group.

    Attributes:
        numbers: (N,) group of each row, class * I + place of the image.
        start: first row of each of the M groups that occur, and N behind them.
        unique: (M,) their numbers.
    """

    numbers: np.ndarray
    start: np.ndarray
    unique: np.ndarray


def coco_curves(
    data: EvaluationSet,
    max_detections: int = 100,
    *,
    area_ranges: Sequence[tuple[float, float]] = COCO_AREAS,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> CocoCurves:
    """COCO's precision and recall; those of pycocotools but for rounding (under 1e-9).

    Like pycocotools it takes the images in the order of their ids, which decides between equal
    scores; ids that have no order stay in the data's.

    Args:
        data: labels and detections with finite boxes and scores. Where both have masks, these are
            compared instead of boxes.
        max_detections: the most confident detections that count, per image and class (maxDets).
        area_ranges: px², both ends belong to it.
        iou_thresholds: smallest IoU of a match, over 0.

    Raises:
        ValueError: an argument out of range.
    """
    _check(max_detections, area_ranges, iou_thresholds)
    place = _image_places(data.image_ids)
    labels, label_groups = _by_group(data.labels, place, np.zeros(len(data.labels)))
    detections, groups = _by_group(data.detections, place, -data.detections.scores)
    nth = np.arange(len(detections)) - np.searchsorted(groups.numbers, groups.numbers, side="left")
    if (nth >= max_detections).any():
        # Before the matching, as in pycocotools: what is beyond the limit takes no label.
        detections, groups = _cut(detections, groups, nth < max_detections)
    shape = (len(iou_thresholds), len(RECALLS), len(data.class_names), len(area_ranges))
    precision, recall = np.full(shape, -1.0), np.full(shape[:1] + shape[2:], -1.0)
    with _no_collection():
        slots, occurrences = _slots(groups, label_groups, len(data.class_names), max(len(place), 1))
        with_masks = labels.masks is not None and detections.masks is not None
        matrices = _mask_matrices if with_masks else _matrices
        ious = matrices(detections, groups, labels, label_groups, min(iou_thresholds))
        truth = _dataset(_label_rows(labels), label_groups, slots)
        found = _dataset(_detection_rows(detections), groups, slots)
        params = _params(area_ranges, iou_thresholds)
        # No larger than needed: the compiled code takes memory for maxDets in each image.
        params.maxDets = [int(np.diff(groups.start).max(initial=1))]
        # One call a class: all classes of a call share one list of images, and here each class has
        # its own slots.
        for k, nested in enumerate(_nested(ious, slots, occurrences)):
            params.imgIds, params.catIds = list(range(len(nested))), [k]
            result = compiled.COCOevalEvaluateAccumulate(
                params, nested, truth, found, params.imgIds, params.catIds, True
            )
            precision[:, :, k] = np.asarray(result["precision"])[:, :, 0, :, 0]
            recall[:, k] = np.asarray(result["recall"])[:, 0, :, 0]
    return CocoCurves(precision, recall)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection in the block.

    So many small objects set off collections of the whole heap, which take as long as the rest.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check(
    max_detections: int,
    area_ranges: Sequence[tuple[float, float]],
    iou_thresholds: Sequence[float],
) -> None:
    check_at_least("max_detections", max_detections, 1)
    if not iou_thresholds or not all(0 < threshold <= 1 for threshold in iou_thresholds):
        raise ValueError(f"IoU thresholds must lie in (0, 1], got {list(iou_thresholds)}")
    if not area_ranges or not all(low <= high for low, high in area_ranges):
        raise ValueError(f"an area range must be (low, high) in px², got {list(area_ranges)}")


def _image_places(ids: Sequence[int | str]) -> np.ndarray:
    """(I,) place of each image in the order of the ids."""
    try:
        order = sorted(range(len(ids)), key=ids.__getitem__)
    except TypeError:  # numbers beside names
        order = list(range(len(ids)))
    places = np.empty(len(ids), dtype=np.int64)
    places[order] = np.arange(len(ids))
    return places


def _by_group(table: Any, place: np.ndarray, within: np.ndarray) -> tuple[Any, _Groups]:
    """The table sorted by class, image and ``within``; equal rows keep their order."""
    numbers = table.categories * max(len(place), 1) + place[table.images]
    # lexsort is stable, so equal scores keep the order that decides between them.
    order = np.lexsort((within, numbers))
    return table[order], _groups(numbers[order])


def _groups(numbers: np.ndarray) -> _Groups:
    unique, start = np.unique(numbers, return_index=True)
    return _Groups(numbers, np.append(start, len(numbers)), unique)


def _cut(
    detections: DetectionTable, groups: _Groups, kept: np.ndarray
) -> tuple[DetectionTable, _Groups]:
    return detections[kept], _groups(groups.numbers[kept])


def _matrices(
    detections: DetectionTable,
    groups: _Groups,
    labels: LabelTable,
    label_groups: _Groups,
    threshold: float,
) -> dict[int, list[list[float]]]:
    """IoU of each detection (row) with each label (column) by group, 0 below the threshold."""
    both, mine, theirs = np.intersect1d(
        groups.unique, label_groups.unique, assume_unique=True, return_indices=True
    )
    height = np.diff(groups.start)[mine]
    width = np.diff(label_groups.start)[theirs]
    end = np.cumsum(height * width)
    offset = end - height * width
    pairs = overlapping_boxes(
        groups.numbers,
        detections.boxes,
        label_groups.numbers,
        labels.boxes,
        labels.crowd,
        # As pycocotools: at a threshold of 1 a rounding must not lose equal boxes.
        min(threshold, 1 - 1e-10),
    )
    at = np.searchsorted(both, groups.numbers[pairs.detection])
    row = pairs.detection - groups.start[mine[at]]
    column = pairs.label - label_groups.start[theirs[at]]
    # All matrices lie in one array, end to end, and are filled by one assignment.
    cells = np.zeros(int(end[-1]) if len(end) else 0)
    cells[offset[at] + row * width[at] + column] = pairs.iou
    return {
        number: cells[first:last].reshape(-1, columns).tolist()
        for number, first, last, columns in zip(
            both.tolist(), offset.tolist(), end.tolist(), width.tolist(), strict=True
        )
    }


def _mask_matrices(
    detections: DetectionTable,
    groups: _Groups,
    labels: LabelTable,
    label_groups: _Groups,
    _threshold: float,
) -> dict[int, list[list[float]]]:
    """As :func:`_matrices`, of masks."""
    assert labels.masks is not None
    assert detections.masks is not None
    both, mine, theirs = np.intersect1d(
        groups.unique, label_groups.unique, assume_unique=True, return_indices=True
    )
    matrices = {}
    for number, row, column in zip(both.tolist(), mine.tolist(), theirs.tolist(), strict=True):
        found = slice(groups.start[row], groups.start[row + 1])
        truth = slice(label_groups.start[column], label_groups.start[column + 1])
        matrix = mask_api.iou(
            detections.masks[found].tolist(),
            labels.masks[truth].tolist(),
            labels.crowd[truth].astype(int).tolist(),
        )
        matrices[number] = np.asarray(matrix).tolist()
    return matrices


def _slots(
    groups: _Groups, label_groups: _Groups, num_classes: int, images: int
) -> tuple[dict[int, tuple[int, int]], list[int]]:
    """(slot, class) by group, and how many slots each class has.

    A slot is an image counted among those where its class occurs. The curves only depend on the
    order of a class's images. Most images hold few classes, and each empty pair would cost as much
    as one with boxes.
    """
    occurring = np.union1d(label_groups.unique, groups.unique)
    classes = occurring // images
    slots = np.arange(len(occurring)) - np.searchsorted(classes, classes, side="left")
    places = zip(slots.tolist(), classes.tolist(), strict=True)
    counts = np.bincount(classes, minlength=num_classes)
    return dict(zip(occurring.tolist(), places, strict=True)), counts.tolist()


def _params(area_ranges: Sequence[tuple[float, float]], iou_thresholds: Sequence[float]) -> Params:
    params = Params(iouType="bbox")
    params.iouThrs = [float(threshold) for threshold in iou_thresholds]
    params.recThrs = RECALLS.tolist()
    params.areaRng = [[float(low), float(high)] for low, high in area_ranges]
    params.useCats = 1
    return params


def _nested(
    ious: dict[int, list[list[float]]],
    slots: dict[int, tuple[int, int]],
    occurrences: list[int],
) -> list[list[list[list[list[float]]]]]:
    """By class, slot and the one class of a call: a matrix, empty where a group has none."""
    nested: list[list[list[list[list[float]]]]] = [[[[]] for _ in range(n)] for n in occurrences]
    for group, matrix in ious.items():
        slot, category = slots[group]
        nested[category][slot][0] = matrix
    return nested


def _label_rows(labels: LabelTable) -> list[dict[str, Any]]:
    columns = (labels.areas.tolist(), labels.crowd.tolist())
    return [
        # As pycocotools, which ignores just the crowds.
        {"id": _SOME_ID, "area": area, "iscrowd": crowd, "ignore": crowd}
        for area, crowd in zip(*columns, strict=True)
    ]


def _detection_rows(detections: DetectionTable) -> list[dict[str, Any]]:
    columns = (detections.scores.tolist(), detections.areas.tolist())
    return [
        {"id": _SOME_ID, "score": score, "area": area} for score, area in zip(*columns, strict=True)
    ]


def _dataset(
    content: list[dict[str, Any]], groups: _Groups, slots: dict[int, tuple[int, int]]
) -> Any:
    dataset = compiled.Dataset()
    append, start = dataset.append_ref, groups.start.tolist()
    # Not strict: ``start`` has the end behind the last group, too.
    for group, first, last in zip(groups.unique.tolist(), start, start[1:], strict=False):
        slot, category = slots[group]
        for row in content[first:last]:
            append(slot, category, row)
    return dataset
