"""LabelMe JSON (version 5): a file an image, rectangles and polygons among its ``shapes``.

LabelMe has no field for a score. It stands in the shape's ``description``, which LabelMe shows
and keeps: ``score=0.93``. A crowd region has the flag ``crowd``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.listed_images import slashed
from smallobj.data.labels.problems import Problem
from smallobj.data.labels.tools.labelme import CROWD, read_labelme
from smallobj.formats.box_set import (
    BoxSet,
    ImageBoxes,
    Segmentation,
    only_polygon,
    short,
    warn_of_masks,
)
from smallobj.formats.dataset_boxes import converted
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, check_name, label_files, write_file

_VERSION = "5.5.0"


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections of all .json files in a folder and below."""
    reading = read_labelme(source.dataset("labelme"), source.policy, source.class_names)
    return converted(reading, source)


def write(boxes: BoxSet, target: Target) -> None:
    """Writes a .json file an image, also where there is no box.

    Raises:
        ValueError: the size of an image is unknown, or files collide.
    """
    warn_of_masks(boxes, "LabelMe")
    # All are made before the first is written, so that an error leaves no half of a folder.
    files = [
        (path, _content(image, path, boxes.class_names, target.images))
        for image, path in label_files(boxes, target, ".json")
    ]
    for path, content in files:
        write_file(target, path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _content(image: ImageBoxes, path: str, names: Sequence[str], images: str) -> dict[str, Any]:
    height, width = image.needed_size("LabelMe JSON")
    check_name(image.file)
    beside = os.path.basename(image.file)
    if images:
        beside = slashed(os.path.relpath(os.path.join(images, image.file), os.path.dirname(path)))
    columns = (image.boxes.tolist(), image.classes.tolist(), image.score_list, image.crowds)
    shapes = [
        {
            "label": names[index],
            "points": [list(map(short, point)) for point in _points(corners, mask)],
            "group_id": None,
            "description": "" if score is None else f"score={score!r}",
            "shape_type": "rectangle" if only_polygon(mask) is None else "polygon",
            "flags": {CROWD: True} if crowd else {},
            "mask": None,
        }
        for corners, index, score, crowd, mask in zip(*columns, image.masks, strict=True)
    ]
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": beside,
        # None makes LabelMe open ``imagePath``.
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _points(corners: Sequence[float], mask: Segmentation | None) -> list[tuple[float, float]]:
    """The points of a polygon, or two corners of a box."""
    numbers = only_polygon(mask) or corners
    return list(zip(numbers[::2], numbers[1::2], strict=True))
