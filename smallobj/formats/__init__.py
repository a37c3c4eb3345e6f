"""Labels and detections in the formats of other tools, both ways.

Each module holds one format: a reader ``(Source) -> (BoxSet, problems)`` and a writer
``(BoxSet, Target) -> None``. All formats of data sets are read, too. docs/formats.md says what each
format can hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from smallobj.data.labels.problems import DatasetError, Problem, ProblemLog
from smallobj.data.labels.readers import READERS, expand
from smallobj.formats import coco, csv_table, cvat, labelme, own_json, yolo
from smallobj.formats.box_set import BoxSet, ImageBoxes
from smallobj.formats.class_list import (
    ClassList,
    in_order,
    read_class_list,
    with_ids,
)
from smallobj.formats.dataset_boxes import converted
from smallobj.formats.detections import coco_results
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, check_free, write_file
from smallobj.whole_file import list_beside


@dataclass(frozen=True)
class Format:
    """Reader and writer of one format; without a writer it is only read."""

    read: Callable[[Source], tuple[BoxSet, list[Problem]]]
    write: Callable[[BoxSet, Target], None] | None = None


def _read_dataset(name: str, source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels in a format of data sets that is not written.

    Raises:
        DatasetError: the place cannot be read.
        ValueError: it holds several data sets, and none is chosen.
    """
    specs = expand(source.dataset(name))
    if len(specs) > 1:
        names = ", ".join(spec.split for spec in specs)
        raise ValueError(f"{source.path}: it holds {names}; choose one (--split)")
    reading = READERS[name](specs[0], source.policy)
    folders = [os.path.dirname(record["file_name"]) for record in reading.records]
    # Formats that name their images by themselves: below the folder that all of them share.
    images = source.images or (os.path.commonpath(folders) if folders else "")
    return converted(reading, replace(source, images=images))


# The formats that cannot hold all of the class list; it lies beside their files.
_LISTED = ("csv", "cvat", "labelme", "yolo")
# Of these, the ones that lack more than category ids: classes that don't occur, or the order.
_ALWAYS_LISTED = ("csv", "labelme")

FORMATS = {
    "coco": Format(coco.read, coco.write),
    "coco-results": Format(coco_results.read, coco_results.write),
    "csv": Format(csv_table.read, csv_table.write),
    "cvat": Format(cvat.read, cvat.write),
    "json": Format(own_json.read, own_json.write),
    "labelme": Format(labelme.read, labelme.write),
    "yolo": Format(yolo.read, yolo.write),
}
FORMATS |= {name: Format(partial(_read_dataset, name)) for name in READERS if name not in FORMATS}


def read_boxes(name: str, source: Source) -> BoxSet:
    """Reads labels or detections in the format ``name``, a key of ``FORMATS``.

    Args:
        name: the format.
        source: the files to read, and what is done about broken rules.

    Raises:
        DatasetError: files break rules; the message lists all violations.
        ValueError: the format is unknown, or needs a part of ``source`` that is empty.
    """
    reader = _format(name).read
    told, beside, coco_file = _class_lists(name, source)
    if told is not None and name != "yolo":
        source = replace(source, classes="", class_names=told.names)
    elif told is not None and source.classes.endswith(".json") and told.category_ids:
        # Ids for the names in classes.txt; those of a data.yaml are the numbers in the labels.
        source = replace(source, classes="")
    boxes, problems = reader(source)
    if problems:
        raise DatasetError(problems)
    if told is not None:
        boxes = with_ids(boxes, told)
    elif beside is not None:
        boxes = in_order(boxes, beside)
    if coco_file is not None:
        # LabelMe alone has no order of its own.
        is_ordered = name != "labelme" or told is not None or beside is not None
        boxes = (with_ids if is_ordered else in_order)(boxes, coco_file)
        boxes = coco.with_image_ids(boxes, source.coco_images)
    return boxes


def write_boxes(name: str, boxes: BoxSet, target: Target) -> None:
    """Writes labels or detections in the format ``name``, a key of ``FORMATS``.

    The list of classes is written beside them where the format cannot hold it: see
    :mod:`smallobj.formats.class_list`.

    Raises:
        ValueError: the format is unknown, cannot hold what is in ``boxes``, or a file exists.
    """
    writer = _format(name).write
    if writer is None:
        written = [known for known, form in FORMATS.items() if form.write is not None]
        raise ValueError(f"format {name} is read, not written; written are {', '.join(written)}")
    beside = list_beside(target.path)
    is_listed = name in _ALWAYS_LISTED or (name in _LISTED and len(boxes.category_ids) > 0)
    is_listed = is_listed and len(boxes.class_names) > 0
    if name in _LISTED:
        check_free(target, beside)
    writer(boxes, target)
    if is_listed:
        text = ClassList(boxes.class_names, boxes.category_ids).text()
        write_file(target, beside, text)
    elif name in _LISTED and os.path.exists(beside):
        os.remove(beside)  # what it says is about the files that were replaced


def _class_lists(
    name: str, source: Source
) -> tuple[ClassList | None, ClassList | None, ClassList | None]:
    """The lists of --classes, beside the input, and of --coco-images; None for one without use."""
    log = ProblemLog()
    told = beside = coco_file = None
    path = list_beside(source.path)
    if name in _LISTED and source.classes:
        told = read_class_list(source.classes, log)
    elif name in _LISTED and not source.class_names and os.path.isfile(path):
        beside = read_class_list(path, log)
    if name in (*_LISTED, "json") and source.coco_images:
        coco_file = read_class_list(source.coco_images, log)
    if log.problems:
        raise DatasetError(log.problems)
    return told, beside, coco_file


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
