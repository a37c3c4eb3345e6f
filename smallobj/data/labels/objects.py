"""Objects of formats that write numbers as texts, and whose images may be of unknown size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_utils

from smallobj.data.labels.listed_images import ListedImage
from smallobj.data.labels.outlines import Bitmap, Outline
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import (
    FIX,
    SHAPE_ENCLOSED,
    broken_box_rule,
    is_number,
    rule,
    to_float,
)
from smallobj.data.labels.shapes import inside
from smallobj.geometry.masks import CropMasks, Rle

NUMBER = rule("box-not-numbers", "a coordinate must be a number", dropped="box")
SCORE = rule("score", "a score must be a number from 0 to 1", dropped="box")
NO_AREA = rule(
    "shape-without-area", "a shape must have an area: points and lines have none", dropped="shape"
)
IMAGE_TAG = rule(
    "image-tag",
    "a label must stand for an object, not for the whole image",
    FIX,
    fixed="label of a whole image passed over",
)


def to_number(value: Any) -> float | None:
    """A number from a file, or the number that a text stands for.

    >>> to_number("1e2"), to_number(True), to_number("one")
    (100.0, None, None)
    """
    if is_number(value):
        return to_float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def read_numbers(
    reading: DatasetReading, place: tuple[str, str], values: Sequence[Any]
) -> list[float] | None:
    """Coordinates from a file, text or numbers; None after reporting what isn't one."""
    try:
        # Most are good texts, and tables have millions of them.
        if all(type(value) is str for value in values):
            return list(map(float, values))
    except ValueError:
        pass
    numbers = [to_number(value) for value in values]
    good = [number for number in numbers if number is not None]
    if len(good) < len(numbers):
        reading.report(*place, NUMBER, shown(values[numbers.index(None)]))
        return None
    return good


def whole_size(width: Any, height: Any) -> tuple[int, int] | None:
    """(h, w) from two numbers or their texts, None unless both are whole and positive."""
    sides = [to_number(height), to_number(width)]
    if any(side is None or not math.isfinite(side) or side < 1 or side % 1 for side in sides):
        return None
    # No side is None here; "or" says so to the type checker.
    return int(sides[0] or 0), int(sides[1] or 0)


def add_object(
    reading: DatasetReading,
    image: ListedImage,
    place: tuple[str, str],
    index: int | None,
    outline: Outline | None,
    *,
    score: Any = None,
    crowd: bool = False,
) -> None:
    """Adds an object to its image, or reports all rules that it breaks.

    Args:
        reading: receives the problems.
        image: where it lies; of unknown size, the object is not clipped and a bitmap is left out.
        place: file and entry that a problem names.
        index: contiguous class, None where it was reported already.
        outline: what it covers, None where it was reported already.
        score: a number or its text; None for a label.
        crowd: the outline is around many objects.
    """
    # No early return: one reading reports all rules that an object breaks.
    number = None if score is None else to_number(score)
    if score is not None and (number is None or not 0 <= number <= 1):
        reading.report(*place, SCORE, shown(score))
        index = None
    kind = outline.kind if outline is not None else ""
    if kind and reading.report(*place, SHAPE_ENCLOSED, kind) != FIX:
        index = None
    box = None if outline is None else _checked(reading, image, place, outline)
    if box is None or index is None or outline is None:
        return
    annotation = reading.make_annotation(box, index, int(crowd))
    if score is not None:
        annotation["score"] = number
    segmentation = _segmentation(outline, image)
    if segmentation:
        annotation["segmentation"] = segmentation
    image.record["annotations"].append(annotation)


def _checked(
    reading: DatasetReading, image: ListedImage, place: tuple[str, str], outline: Outline
) -> list[float] | None:
    """The box (x, y, w, h) of an outline, None if it breaks a rule that drops it."""
    x1, y1, x2, y2 = corners = outline.corners
    if image.scale != (1.0, 1.0):
        across, along = image.scale
        x1, y1, x2, y2 = corners = (x1 * across, y1 * along, x2 * across, y2 * along)
    box = [x1, y1, x2 - x1, y2 - y1]
    if image.size is not None:
        return reading.box(*place, box, image.size)
    # Only the rules that need no size.
    broken = broken_box_rule(box, None)
    if broken is None:
        return box
    reading.report(*place, broken, str(list(corners)))
    return None


def _segmentation(outline: Outline, image: ListedImage) -> list[list[float]] | Rle | None:
    """The outline as COCO has it: polygons, or a run-length mask of the image's size."""
    if not outline.polygons and not outline.bitmaps:
        return None
    polygons = []
    for polygon in outline.polygons:
        points = [value * image.scale[at % 2] for at, value in enumerate(polygon)]
        if len(points) >= 6:
            polygons.append(points if image.size is None else inside(points, image.size))
    if not outline.bitmaps:
        return polygons or None
    if image.size is None:
        return None
    parts = [_run_lengths(bitmap, image) for bitmap in outline.bitmaps]
    if polygons:
        parts += mask_utils.frPyObjects(polygons, *image.size)
    whole = mask_utils.merge([part for part in parts if part is not None])
    return {"size": list(image.size), "counts": whole["counts"].decode("ascii")}


def _run_lengths(bitmap: Bitmap, image: ListedImage) -> Rle | None:
    assert image.size is not None
    (height, width), (across, along) = image.size, image.scale
    told = (round(height / along), round(width / across))
    # The part inside the image: boxes are clipped, too.
    top, left = max(bitmap.top, 0), max(bitmap.left, 0)
    pixels = bitmap.pixels[top - bitmap.top : told[0] - bitmap.top]
    pixels = pixels[:, left - bitmap.left : told[1] - bitmap.left]
    if not pixels.any():
        return None
    crop = torch.from_numpy(np.ascontiguousarray(pixels))
    masks = CropMasks([crop], torch.tensor([[left, top]]), told)
    return masks.resized(image.size).rles()[0]
