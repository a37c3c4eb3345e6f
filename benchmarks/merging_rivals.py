"""Merging the same boxes with other packages: SAHI's GREEDYNMM and supervision's NMS.

Boxes are converted to each package's format before the clock starts. All merge within classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from detectron2.structures import Instances

from benchmarks.merging import make_boxes
from benchmarks.pairing import Timing, time_in_turns
from benchmarks.report import Cell, Report, Table, describe_machine, seconds_of
from benchmarks.rival_packages import RivalUnavailable, import_rival
from smallobj.config import get_cfg
from smallobj.merging import build_merger

Job = Callable[[], int]

_THRESHOLD = 0.5
# supervision 0.31 allocates six float64 matrices and one float32 matrix of boxes x boxes.
_BYTES_PER_PAIR = 6 * 8 + 4
_GIGA = 1e9


def _columns(boxes: Instances) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xyxy = boxes.pred_boxes.tensor.cpu().numpy()
    return (
        xyxy - min(float(xyxy.min(initial=0)), 0),  # SAHI does not accept negative coordinates
        boxes.scores.cpu().numpy(),
        boxes.pred_classes.cpu().numpy(),
    )


def sahi_function(boxes: Instances) -> Job:
    """Only SAHI's grouping of boxes, on an array.

    It favours SAHI, since neither the merging nor SAHI's objects, one for each box, are timed.
    """
    combine = import_rival("sahi.postprocess.combine")
    xyxy, scores, classes = _columns(boxes)
    array = np.concatenate([xyxy, scores[:, None], classes[:, None]], axis=1).astype(np.float64)
    return lambda: len(combine.batched_greedy_nmm(array, "IOS", _THRESHOLD))


def sahi_objects(boxes: Instances) -> Job:
    """SAHI's merging as in ``get_sliced_prediction``: from objects to merged objects."""
    combine = import_rival("sahi.postprocess.combine")
    prediction = import_rival("sahi.prediction").ObjectPrediction
    merge = combine.GreedyNMMPostprocess(_THRESHOLD, "IOS", class_agnostic=False)
    objects = [
        prediction(bbox=box.tolist(), category_id=int(k), category_name=str(k), score=float(score))
        for box, score, k in zip(*_columns(boxes), strict=True)
    ]
    return lambda: len(merge(objects))


def supervision_nms(boxes: Instances) -> Job:
    """supervision's ``Detections.with_nms``.

    Raises:
        RivalUnavailable: its matrices of boxes x boxes do not fit into memory.
    """
    need = len(boxes) ** 2 * _BYTES_PER_PAIR
    import_rival("supervision")
    if need > available_memory():
        raise RivalUnavailable(
            f"supervision's NMS needs {need / _GIGA:.0f} GB for {len(boxes)} boxes, "
            f"and {available_memory() / _GIGA:.0f} GB are free"
        )
    detections = _detections(boxes)
    return lambda: len(detections.with_nms(threshold=_THRESHOLD))


def supervision_nms_by_class(boxes: Instances) -> Job:
    """The same, called once for each class, which needs far smaller matrices."""
    parts = [_detections(boxes[boxes.pred_classes == k]) for k in boxes.pred_classes.unique()]
    return lambda: sum(len(part.with_nms(threshold=_THRESHOLD)) for part in parts)


def _detections(boxes: Instances):  # type: ignore[no-untyped-def]  # of an optional package
    xyxy, scores, classes = _columns(boxes)
    supervision = import_rival("supervision")
    return supervision.Detections(xyxy=xyxy, confidence=scores, class_id=classes)


def available_memory() -> int:
    """Bytes available to a new process without swapping; 8 GB if there is no /proc."""
    file = Path("/proc/meminfo")
    if not file.is_file():
        return int(8 * _GIGA)
    for line in file.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return int(8 * _GIGA)


def _ours(name: str, metric: str) -> Callable[[Instances], Job]:
    """This project's merger with SAHI's or supervision's rule: overlap above 0.5 within a class."""

    def make(boxes: Instances) -> Job:
        cfg = get_cfg()
        cfg.TEST.MERGER.NAME, cfg.TEST.MERGER.METRIC = name, metric
        cfg.TEST.MERGER.OVERLAP_THRESH = _THRESHOLD
        merge = build_merger(cfg)
        return lambda: len(merge(boxes))

    return make


MERGING_RIVALS: dict[str, Callable[[Instances], Job]] = {
    "SAHI GREEDYNMM, grouping alone": sahi_function,
    "SAHI GREEDYNMM": sahi_objects,
    "supervision NMS": supervision_nms,
    "supervision NMS, once a class": supervision_nms_by_class,
    "smallobj nmm, IoS": _ours("nmm", "ios"),
    "smallobj nms, IoU": _ours("nms", "iou"),
}
# The row with which a row is compared: the fastest one with the same rule.
_BASES = {
    "smallobj nmm, IoS": "SAHI GREEDYNMM, grouping alone",
    "smallobj nms, IoU": "supervision NMS, once a class",
}
# Image size for 5,000 boxes; its area is scaled with the number of boxes.
_COUNT, _HEIGHT, _WIDTH = 5000, 2100, 2800


def benchmark_merging(counts: Sequence[int], runs: int) -> Report:
    """Times all rivals on the same boxes, in turns.

    Args:
        counts: numbers of boxes; there is a table for each.
        runs: number of rounds.
    """
    tables, raw = [], {}
    machine = describe_machine()
    for count in counts:
        scale = (count / _COUNT) ** 0.5
        size = (round(_HEIGHT * scale), round(_WIDTH * scale))
        boxes = make_boxes(count, size, seed=0)
        jobs, notes = {}, []
        for name, make in MERGING_RIVALS.items():
            try:
                jobs[name] = make(boxes)
            except RivalUnavailable as error:
                notes.append(f"{name}: left out, {error}")
        timings = time_in_turns(jobs, runs)
        title = f"{count} boxes on {size[1]}x{size[0]} px, 30 classes, {runs} paired runs"
        tables.append(merging_table(title, timings, notes))
        raw[str(count)] = seconds_of(timings)
    return Report("merging", {"counts": list(counts), "runs": runs}, machine, tables, raw)


def merging_table(title: str, timings: Sequence[Timing], notes: list[str]) -> Table:
    """A table with a row for each rival; the items of ``timings`` are the remaining boxes."""
    by_name = {timing.name: timing for timing in timings}
    rows: list[list[Cell]] = []
    for timing in timings:
        row: list[Cell] = [timing.name, 1000 * timing.median]
        row += [1000 * min(timing.seconds), 1000 * max(timing.seconds), timing.items]
        base = by_name.get(_BASES.get(timing.name, ""))
        row.append(f"{base.median / timing.median:.1f} x {base.name}" if base else None)
        rows.append(row)
    headers = ["", "ms", "fastest", "slowest", "boxes left", "as fast as"]
    return Table(title, headers, rows, notes)
