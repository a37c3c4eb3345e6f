"""Time of the COCO metrics, compared with pycocotools, the reference implementation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any

import faster_coco_eval
import numpy as np
import pycocotools.coco
import pycocotools.cocoeval

from benchmarks.pairing import Timing, time_in_turns
from benchmarks.report import Cell, Report, Table, describe_machine, seconds_of
from smallobj.evaluation.metrics.coco_curves import CocoCurves, coco_curves
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable

_HEIGHT, _WIDTH, _CLASSES = 2100, 2800, 30
_DETECTIONS_PER_LABEL = 4
_LIMIT = 100

OURS = "smallobj"
WHOLE = "pycocotools"
READY = "pycocotools, its objects ready"
FASTER = "faster-coco-eval, its objects ready"


def make_evaluation_set(count: int, per_image: int, seed: int) -> EvaluationSet:
    """Random labels of 10 to 100 px in images of 2800 x 2100 px, and detections around them.

    There is one label for every 4 detections, of one of 30 classes; 2% are crowds. Each edge of a
    detection is off by a tenth of the label's side (standard deviation), and 20% have a random
    class. Scores have three digits, so some are equal.

    Args:
        count: number of detections.
        per_image: mean number of detections in an image.
        seed: of the random generator.
    """
    rng = np.random.default_rng(seed)
    images = max(count // per_image, 1)
    labels = max(count // _DETECTIONS_PER_LABEL, 1)
    sides = rng.uniform(10, 100, (labels, 2))
    corners = rng.uniform(0, 1, (labels, 2)) * ([_WIDTH, _HEIGHT] - sides)
    boxes = np.concatenate([corners, corners + sides], axis=1)
    image_of_label = np.sort(rng.integers(0, images, labels))
    categories = rng.integers(0, _CLASSES, labels)
    owner = np.sort(rng.integers(0, labels, count))
    moved = boxes[owner] + rng.normal(0, 0.1, (count, 4)) * np.tile(sides[owner], 2)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    confused = rng.random(count) < 0.2
    other = rng.integers(0, _CLASSES, count)
    detected_categories = np.where(confused, other, categories[owner])
    ids = list(range(images))
    return EvaluationSet(
        ids,
        [f"{image_id}.jpg" for image_id in ids],
        np.full((images, 2), (_HEIGHT, _WIDTH)),
        [f"class {k}" for k in range(_CLASSES)],
        LabelTable(
            image_of_label, categories, boxes, sides.prod(axis=1), rng.random(labels) < 0.02
        ),
        DetectionTable(
            image_of_label[owner], detected_categories, moved, rng.random(count).round(3)
        ),
    )


def coco_objects(data: EvaluationSet, kind: Callable[[], Any]) -> tuple[Any, Any]:
    """Labels and detections as COCO objects of pycocotools or faster-coco-eval.

    Args:
        data: labels and detections.
        kind: the COCO class of the package.
    """
    shared: dict[str, Any] = {
        "images": [{"id": number} for number in data.image_ids],
        "categories": [{"id": k, "name": name} for k, name in enumerate(data.class_names)],
    }
    built = []
    crowd = [{"iscrowd": int(flag)} for flag in data.labels.crowd.tolist()]
    scores = [{"score": score, "iscrowd": 0} for score in data.detections.scores.tolist()]
    for table, extra in ((data.labels, crowd), (data.detections, scores)):
        sides = table.boxes[:, 2:] - table.boxes[:, :2]
        columns = (
            np.concatenate([table.boxes[:, :2], sides], axis=1).tolist(),
            table.images.tolist(),
            table.categories.tolist(),
            table.areas.tolist(),
            extra,
        )
        coco = kind()
        coco.dataset = shared | {
            "annotations": [
                {"id": i, "bbox": box, "image_id": at, "category_id": k, "area": area, **more}
                for i, (box, at, k, area, more) in enumerate(zip(*columns, strict=True), start=1)
            ]
        }
        coco.createIndex()
        built.append(coco)
    return built[0], built[1]


def run_coco(objects: tuple[Any, Any], kind: Callable[..., Any]) -> CocoCurves:
    """Evaluates and accumulates with a COCOeval class, with 100 detections as in ours."""
    run = kind(*objects, "bbox")
    run.params.maxDets = [_LIMIT]
    run.evaluate()
    run.accumulate()
    return CocoCurves(
        np.asarray(run.eval["precision"])[..., 0], np.asarray(run.eval["recall"])[..., 0]
    )


def evaluation_rivals(data: EvaluationSet) -> dict[str, Callable[[], CocoCurves]]:
    """Jobs that evaluate the same boxes, by name; for two of them the objects are built here."""
    official, faster = pycocotools.cocoeval.COCOeval, faster_coco_eval.COCOeval_faster
    with _silence():
        ready = coco_objects(data, pycocotools.coco.COCO)
        faster_ready = coco_objects(data, faster_coco_eval.COCO)
    return {
        WHOLE: lambda: run_coco(coco_objects(data, pycocotools.coco.COCO), official),
        READY: lambda: run_coco(ready, official),
        FASTER: lambda: run_coco(faster_ready, faster),
        OURS: lambda: coco_curves(data, _LIMIT),
    }


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    return contextlib.redirect_stdout(io.StringIO())  # pycocotools prints its progress


def largest_difference(data: EvaluationSet) -> float:
    """Largest difference of any precision or recall between pycocotools' curves and ours."""
    rivals = evaluation_rivals(data)
    with _silence():
        theirs, ours = rivals[READY](), rivals[OURS]()
    pairs = zip(theirs, ours, strict=True)
    return max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)


def benchmark_evaluation(counts: Sequence[int], per_image: Sequence[int], runs: int) -> Report:
    """Times all rivals on the same boxes, in turns.

    Args:
        counts: numbers of detections; there is a table for each pair with a ``per_image``.
        per_image: mean numbers of detections in an image.
        runs: number of rounds.

    Raises:
        ValueError: a number is below 1.
    """
    if min(*counts, *per_image, runs) < 1:
        raise ValueError(
            "boxes, boxes per image and runs must be at least 1, "
            f"got {list(counts)}, {list(per_image)} and {runs}"
        )
    tables, raw = [], {}
    machine = describe_machine()
    for count in counts:
        for mean_count in per_image:
            data = make_evaluation_set(count, mean_count, seed=0)
            jobs = {name: _counted(run, count) for name, run in evaluation_rivals(data).items()}
            with _silence():
                timings = time_in_turns(jobs, runs)
            title = (
                f"{count} boxes in {len(data.image_ids)} images, {len(data.labels)} labels, "
                f"{_CLASSES} classes, {runs} paired runs"
            )
            tables.append(evaluation_table(title, timings, largest_difference(data)))
            raw[f"{count} boxes, {mean_count} an image"] = seconds_of(timings)
    settings = {"counts": list(counts), "per_image": list(per_image), "runs": runs}
    return Report("evaluation", settings, machine, tables, raw)


def _counted(run: Callable[[], CocoCurves], count: int) -> Callable[[], int]:
    def job() -> int:
        run()
        return count

    return job


def evaluation_table(title: str, timings: Sequence[Timing], difference: float) -> Table:
    """A table with a row for each rival, and ratios of medians to both times of pycocotools."""
    by_name = {timing.name: timing for timing in timings}
    rows: list[list[Cell]] = [
        [
            timing.name,
            1000 * timing.median,
            1000 * min(timing.seconds),
            1000 * max(timing.seconds),
            *(by_name[base].median / timing.median for base in (WHOLE, READY)),
        ]
        for timing in timings
    ]
    headers = ["", "ms", "fastest", "slowest", f"x {WHOLE}", f"x {READY}"]
    notes = [
        "From arrays in memory to precision and recall at 10 IoU thresholds and 4 size ranges. "
        "With objects ready, the time to build them from the arrays is not included.",
        f"Largest difference of any precision or recall between pycocotools and ours: "
        f"{difference:.1e}",
    ]
    return Table(title, headers, rows, notes)
