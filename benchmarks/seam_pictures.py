"""A sheet of crops: objects with worse results near a seam, and the same objects off the seams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from benchmarks.seams import GridReading
from smallobj.data.image_file import read_image
from smallobj.evaluation.metrics.seams import OFF, Observations, interior_edges, observe
from smallobj.evaluation.reading.tables import DetectionTable
from smallobj.results.drawing import draw_detections
from smallobj.results.drawing_options import DrawingOptions
from smallobj.results.text_labels import write_text

_SIDE = 320
_CROP = 160
_COLUMNS = 3
_TITLE = 20
_EDGE = (0, 255, 255)
_TRUTH = (255, 255, 255)


class Case(NamedTuple):
    """An object, by its index in its image, and the two readings to compare."""

    title: str
    number: int
    near: GridReading
    off: GridReading


def find_cases(
    readings: Sequence[GridReading], variant: str, min_score: float, most: int = 12
) -> list[Case]:
    """Objects found off the seams but missed near one, then those with duplicates only near one.

    Args:
        readings: of the study.
        variant: one of the study's variants.
        min_score: least score of detections.
        most: largest number of cases of each of the two kinds.
    """
    by_photograph: dict[int, list[GridReading]] = {}
    for reading in readings:
        by_photograph.setdefault(reading.photograph, []).append(reading)
    missed: list[Case] = []
    doubled: list[Case] = []
    for group in by_photograph.values():
        seen = [_observe(reading, variant, min_score) for reading in group]
        for position, index in enumerate(np.flatnonzero(~group[0].truth.crowd).tolist()):
            off = [g for g, observation in enumerate(seen) if observation.zone[position] == OFF]
            near = [g for g in range(len(group)) if g not in off]
            lost = [g for g in near if not seen[g].found[position]]
            found = [g for g in off if seen[g].found[position]]
            if lost and found:
                case = Case("missed near a seam", index, group[lost[0]], group[found[0]])
                missed.append(case)
            more = [g for g in near if seen[g].duplicates[position]]
            single = [g for g in off if not seen[g].duplicates[position]]
            if more and single:
                case = Case("duplicate near a seam", index, group[more[0]], group[single[0]])
                doubled.append(case)
    return _evenly(missed, most) + _evenly(doubled, most)


def _observe(reading: GridReading, variant: str, min_score: float) -> Observations:
    return observe(
        reading.truth,
        reading.found[variant],
        reading.tiles,
        reading.size,
        min_score=min_score,
        photograph=0,
        first_object=0,
    )


def _evenly(cases: list[Case], most: int) -> list[Case]:
    """At most ``most`` cases, evenly spread over all images."""
    chosen = np.linspace(0, len(cases) - 1, min(len(cases), most)).round().astype(int)
    return [cases[i] for i in chosen.tolist()]


def draw_cases(
    cases: Sequence[Case], variant: str, min_score: float, class_names: Sequence[str]
) -> np.ndarray:
    """Draws the sheet: each case near the seam on the left, off the seams on the right.

    White boxes are labels, coloured boxes detections, yellow lines edges of tiles.

    Args:
        cases: at least one.
        variant: the variant whose detections are drawn.
        min_score: least score of the detections.
        class_names: in the order of pred_classes.

    Returns:
        (h, w, 3) uint8, BGR.
    """
    cells = []
    for case in cases:
        pair = [
            _close_up(reading, case.number, reading.found[variant], min_score, class_names)
            for reading in (case.near, case.off)
        ]
        picture = np.hstack([np.pad(half, ((0, 0), (0, 4), (0, 0))) for half in pair])
        bar = np.full((_TITLE, picture.shape[1], 3), 255, dtype=np.uint8)
        write_text(bar, f"{case.title} | off the seams", 4, 3, (0, 0, 0), 14)
        cells.append(np.pad(np.vstack([bar, picture]), ((0, 8), (0, 8), (0, 0))))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % _COLUMNS)
    rows = [np.hstack(cells[i : i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)]
    return np.vstack(rows)


@lru_cache(maxsize=4)
def _photograph(path: str) -> np.ndarray:
    return read_image(path)


def _close_up(
    reading: GridReading,
    index: int,
    detections: DetectionTable,
    min_score: float,
    class_names: Sequence[str],
) -> np.ndarray:
    box = reading.truth.boxes[index]
    side = max(_CROP, round(2 * float((box[2:] - box[:2]).max())))
    start = ((box[:2] + box[2:] - side) / 2).round().astype(int)
    matrix = np.array([[1, 0, -start[0]], [0, 1, -start[1]]], dtype=np.float64) * _SIDE / side
    crop = cv2.warpAffine(_photograph(reading.file_name), matrix, (_SIDE, _SIDE))

    def moved(boxes: np.ndarray) -> np.ndarray:
        return (boxes - np.tile(start, 2)) * _SIDE / side

    for x0, y0, x1, y1 in moved(interior_edges(reading.tiles, reading.size)).round():
        cv2.line(crop, (int(x0), int(y0)), (int(x1), int(y1)), _EDGE, 1)
    for x0, y0, x1, y1 in moved(reading.truth.boxes).round():
        cv2.rectangle(crop, (int(x0), int(y0)), (int(x1), int(y1)), _TRUTH, 1)
    near = (moved(detections.boxes)[:, :2] < _SIDE).all(axis=1) & (
        moved(detections.boxes)[:, 2:] > 0
    ).all(axis=1)
    shown = near & (detections.scores >= min_score)
    instances = Instances((_SIDE, _SIDE))
    instances.pred_boxes = Boxes(torch.from_numpy(moved(detections.boxes)[shown]))
    instances.scores = torch.from_numpy(detections.scores[shown])
    instances.pred_classes = torch.from_numpy(detections.categories[shown])
    options = DrawingOptions(labels="full", legend=False)
    return draw_detections(crop, instances, class_names, options=options)
