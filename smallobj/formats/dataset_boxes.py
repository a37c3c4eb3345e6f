"""A data set as read, as boxes by image: the one way from the readers of labels to the writers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from smallobj.data.labels.listed_images import slashed
from smallobj.data.labels.problems import Problem
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, rule
from smallobj.formats.box_set import DECIMALS, BoxSet, ImageBoxes
from smallobj.formats.source import Source

SCORE_MISSING = rule(
    "score-mixed",
    "either all boxes have a score, or none has",
    fixed="score left out",
)


def converted(reading: DatasetReading, source: Source) -> tuple[BoxSet, list[Problem]]:
    """What a reader of a format without ids has read, and the problems.

    Args:
        reading: of ``source``; receives further problems.
        source: names the folder of images, which is left out of their names.
    """
    _check_scores(reading, source)
    reading.merge_duplicates()
    boxes = box_set(reading, source.images)
    ids = list(reading.class_ids)
    # Counted from 0 without gaps they are no ids of a COCO file.
    if ids != list(range(len(ids))):
        boxes = dataclasses.replace(boxes, category_ids=ids)
    return boxes, reading.problems


def box_set(
    reading: DatasetReading, folder: str, category_ids: Sequence[int] | None = None
) -> BoxSet:
    """Boxes by image, in the order of the records.

    Args:
        reading: a record without "height" is an image of unknown size.
        folder: of the images; is left out of their names.
        category_ids: K ids of a COCO file, whose images keep their ids, too; None elsewhere.
    """
    images = []
    for record in reading.records:
        file = name_below(record["file_name"], folder)
        size = (record["height"], record["width"]) if "height" in record else None
        image_id = None if category_ids is None else record["image_id"]
        images.append(_image(file, size, record["annotations"], image_id))
    return BoxSet(images, list(reading.class_names), list(category_ids or ()), reading.changes)


def name_below(path: str, folder: str) -> str:
    """Path of an image below the folder of images, with "/"; the whole path without a folder."""
    if not folder:
        return slashed(path)
    # With the slash, or a folder "val" would be cut off "val2/1.jpg", too.
    start = os.path.join(os.path.normpath(folder), "")
    return slashed(os.path.normpath(path).removeprefix(start.removeprefix(os.path.join(".", ""))))


def _image(
    file: str,
    size: tuple[int, int] | None,
    annotations: Sequence[dict[str, Any]],
    image_id: int | None,
) -> ImageBoxes:
    boxes = np.array([one["bbox"] for one in annotations], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    # The first box speaks for all: a mix is reported.
    scored = bool(annotations) and "score" in annotations[0]
    masks = [one.get("segmentation") for one in annotations]
    crowd = np.array([one["iscrowd"] for one in annotations], bool)
    return ImageBoxes(
        file,
        size,
        boxes.round(DECIMALS),
        np.array([one["category_id"] for one in annotations], np.int64),
        np.array([one.get("score") for one in annotations], np.float64) if scored else None,
        crowd if crowd.any() else None,
        image_id,
        masks if any(mask is not None for mask in masks) else None,
    )


def _check_scores(reading: DatasetReading, source: Source) -> None:
    boxes = [(record, one) for record in reading.records for one in record["annotations"]]
    scored = ["score" in one for _, one in boxes]
    if all(scored) or not any(scored):
        return
    for (record, one), is_scored in zip(boxes, scored, strict=True):
        if is_scored is scored[0]:
            continue
        value = f"{one['bbox']} {'with' if is_scored else 'without'} a score"
        if reading.report(source.path, record["file_name"], SCORE_MISSING, value) != FIX:
            return  # one is enough: half of the file may be such boxes
    for _, one in boxes:
        one.pop("score", None)
