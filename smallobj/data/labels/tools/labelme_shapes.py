"""The ``shapes`` of LabelMe and of tools that write its format, such as X-AnyLabeling."""

from __future__ import annotations

import base64
import binascii
import io
import math
import warnings
from typing import Any

import numpy as np
import PIL.Image

from smallobj.data.labels.objects import NO_AREA, read_numbers
from smallobj.data.labels.outlines import Outline, bitmap, ellipse, polygon, upright
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, rule

_TYPE_RULE = rule("labelme-shape", "a shape must have a known shape_type", dropped="shape")
_POINTS_RULE = rule(
    "labelme-points",
    "a shape must have a list of points: a rectangle two or four of them, a circle two, a polygon "
    "three or more",
    dropped="shape",
)
_MASK_RULE = rule(
    "labelme-mask",
    "a mask must be a PNG in base64 of the size of its box, with at least one pixel",
    fixed="box taken, mask left out",
    dropped="shape",
)
_POLYGONS = ("polygon", "rotation", "quadrilateral", "oriented_rectangle")
_WITHOUT_AREA = ("point", "points", "line", "linestrip", "lines")


def read_outline(
    shape: dict[str, Any], place: tuple[str, str], reading: DatasetReading
) -> Outline | None:
    """What a shape covers; None after reporting why it isn't known.

    Args:
        shape: an entry of ``shapes``.
        place: file and entry that a problem names.
        reading: receives the problems.
    """
    # LabelMe, too, takes a shape without a type for a polygon.
    kind = shape.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        reading.report(*place, NO_AREA, shown(kind))
        return None
    if kind not in (*_POLYGONS, "rectangle", "circle", "mask"):
        reading.report(*place, _TYPE_RULE, shown(kind))
        return None
    values = _values(shape.get("points"))
    if values is None or not _has_points(kind, len(values) // 2):
        rule = _POINTS_RULE
        if kind == "polygon" and values:
            rule = NO_AREA  # drawn as a polygon, but a point or a line
        reading.report(*place, rule, f"{shown(kind)} with points {shown(shape.get('points'))}")
        return None
    numbers = read_numbers(reading, place, values)
    if numbers is None:
        return None
    if kind == "mask":
        return _mask(shape.get("mask"), numbers, place, reading)
    if kind == "circle":
        radius = math.hypot(numbers[2] - numbers[0], numbers[3] - numbers[1])
        return ellipse((numbers[0], numbers[1]), (radius, radius), 0, "circle")
    if len(numbers) == 4:
        return upright(*numbers)
    if kind == "rectangle" and _is_upright(numbers):
        return upright(*numbers[:2], *numbers[4:6])
    return polygon(numbers, kind)


def _values(points: Any) -> list[Any] | None:
    """x, y, x, y, ..., or None where the points aren't pairs."""
    if not isinstance(points, list):
        return None
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    return [value for point in points for value in point]


def _has_points(kind: str, number: int) -> bool:
    if kind == "rectangle":
        return number in (2, 4)
    return number == 2 if kind in ("circle", "mask") else number >= 3


def _is_upright(numbers: list[float]) -> bool:
    """Whether four corners, given in turn, are those of an upright box."""
    x1, y1, x2, y2, x3, y3, x4, y4 = numbers
    by_rows = (y1, x2, y3, x4) == (y2, x3, y4, x1)
    return by_rows or (x1, y2, x3, y4) == (x2, y3, x4, y1)


def _mask(
    text: Any, numbers: list[float], place: tuple[str, str], reading: DatasetReading
) -> Outline | None:
    """The mask of a PNG whose first and last pixel are the two points."""
    x1, y1, x2, y2 = numbers
    found = None
    # Sizes are bounded by the box, so that no few letters of base64 unpack to gigabytes.
    if isinstance(text, str) and all(map(math.isfinite, numbers)) and x1 <= x2 and y1 <= y2:
        left, top = round(x1), round(y1)
        pixels = _png_pixels(text, (round(y2) - top + 1, round(x2) - left + 1))
        found = None if pixels is None else bitmap(pixels, left, top, "mask")
    if found is None and reading.report(*place, _MASK_RULE, shown(text)) == FIX:
        return upright(*numbers)
    return found


def _png_pixels(text: str, size: tuple[int, int]) -> np.ndarray | None:
    """(h, w) bool of a PNG, None if it isn't one of this size."""
    try:
        data = base64.b64decode(text, validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.size != size[::-1]:
                    return None
                return np.asarray(image.convert("L")) > 0
    except (
        binascii.Error,
        ValueError,
        OSError,
        SyntaxError,
        PIL.Image.DecompressionBombError,
        PIL.Image.DecompressionBombWarning,
    ):
        return None
