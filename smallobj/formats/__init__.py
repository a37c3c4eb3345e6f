"""Labels and detections in the formats of other tools, both ways.

Each module holds one format: a reader ``(Source) -> (BoxSet, problems)`` and a writer
``(BoxSet, Target) -> None``. docs/formats.md says what each
format can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smallobj.data.labels.problems import DatasetError, Problem
from smallobj.formats import coco, coco_results, csv_table, cvat, labelme, yolo
from smallobj.formats.box_set import BoxSet, ImageBoxes
from smallobj.formats.source import Source
from smallobj.formats.targets import Target


@dataclass(frozen=True)
class Format:
    """Reader and writer of one format."""

    read: Callable[[Source], tuple[BoxSet, list[Problem]]]
    write: Callable[[BoxSet, Target], None]


FORMATS = {
    "coco": Format(coco.read, coco.write),
    "coco-results": Format(coco_results.read, coco_results.write),
    "csv": Format(csv_table.read, csv_table.write),
    "cvat": Format(cvat.read, cvat.write),
    "labelme": Format(labelme.read, labelme.write),
    "yolo": Format(yolo.read, yolo.write),
}


def read_boxes(name: str, source: Source) -> BoxSet:
    """Reads labels or detections in the format ``name``, a key of ``FORMATS``.

    Args:
        name: the format.
        source: the files to read, and what is done about broken rules.

    Raises:
        DatasetError: files break rules; the message lists all violations.
        ValueError: the format is unknown, or needs a part of ``source`` that is empty.
    """
    boxes, problems = _format(name).read(source)
    if problems:
        raise DatasetError(problems)
    return boxes


def write_boxes(name: str, boxes: BoxSet, target: Target) -> None:
    """Writes labels or detections in the format ``name``, a key of ``FORMATS``.

    Raises:
        ValueError: the format is unknown, cannot hold what is in ``boxes``, or a file exists.
    """
    _format(name).write(boxes, target)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r}; known are {', '.join(FORMATS)}")
    return FORMATS[name]


__all__ = [
    "FORMATS",
    "BoxSet",
    "Format",
    "ImageBoxes",
    "Source",
    "Target",
    "read_boxes",
    "write_boxes",
]
