"""The cells of a table's row that say where an object lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.objects import NO_AREA, read_numbers, to_number
from smallobj.data.labels.outlines import Outline, ellipse, polygon
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import rule

BBOX_RULE = rule("csv-bbox", "a bbox must be four numbers, or a list of such boxes", dropped="row")
SHAPE_RULE = rule(
    "csv-shape",
    "region_shape_attributes must be a JSON object of a rect, circle, ellipse or polygon",
    dropped="row",
)
# Cells of programs that write an empty number as a word.
_NOTHING = ("", "nan", "none", "null", "na", "n/a", "<na>")
_WITHOUT_AREA = ("point", "polyline")


def is_empty(cell: str) -> bool:
    """Whether a cell holds nothing, such as a coordinate of an image without objects."""
    return not cell or cell.strip().lower() in _NOTHING


def with_points(cells: Sequence[str], has_commas: bool) -> list[str]:
    """Texts of numbers, those with a decimal comma with a point.

    Args:
        cells: of a row.
        has_commas: cells are not separated by commas, so that one may be a decimal comma.
    """
    texts = [cell.strip() for cell in cells]
    if not has_commas:
        return texts
    return [text.replace(",", ".") if text.count(",") == 1 else text for text in texts]


def bbox_numbers(cell: str) -> list[list[float]] | None:
    """The boxes of a cell, each of four numbers; None where it holds none.

    >>> bbox_numbers("[834.0, 222, 56, 36]"), bbox_numbers("1 2 3 4")
    ([[834.0, 222.0, 56.0, 36.0]], [[1.0, 2.0, 3.0, 4.0]])
    >>> bbox_numbers("[{'x': 5, 'y': 2, 'width': 3, 'height': 4}]")
    [[5.0, 2.0, 3.0, 4.0]]
    """
    text = cell.strip()
    if "[" in text or "{" in text:
        try:
            content = json.loads(text.replace("'", '"').replace("(", "[").replace(")", "]"))
        except (ValueError, RecursionError):
            return _spaced(text.strip("[]"))
        if not isinstance(content, list):
            content = [content]
        if content and not any(isinstance(one, list | dict) for one in content):
            content = [content]
        boxes = [_four(one) for one in content]
        good = [box for box in boxes if box is not None]
        return good if len(good) == len(boxes) else None
    return _spaced(text.strip("()"))


def _spaced(text: str) -> list[list[float]] | None:
    """Four numbers between blanks, commas or semicolons, as NumPy prints them."""
    box = _four(text.replace(",", " ").replace(";", " ").split())
    return None if box is None else [box]


def _four(one: Any) -> list[float] | None:
    if isinstance(one, dict):
        one = [one.get(key) for key in ("x", "y", "width", "height")]
    if not isinstance(one, list) or len(one) != 4:
        return None
    numbers = [to_number(value) for value in one]
    good = [number for number in numbers if number is not None]
    return good if len(good) == 4 else None


def corners_of(values: Sequence[float], form: str) -> tuple[float, float, float, float]:
    """(x1, y1, x2, y2) of four numbers of the form "xyxy", "xywh" or "cxcywh"."""
    a, b, c, d = values
    if form == "xyxy":
        return a, b, c, d
    if form == "cxcywh":
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return a, b, a + c, b + d


def json_cell(cell: str) -> dict[str, Any] | None:
    """The object in a cell, None where it is none."""
    try:
        content = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def shape_outline(
    shape: dict[str, Any], place: tuple[str, str], reading: DatasetReading
) -> Outline | None:
    """What a region of the VGG annotator covers; None after reporting why it isn't known."""
    kind = shape.get("name")
    keys = {
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r"),
        "ellipse": ("cx", "cy", "rx", "ry"),
    }
    if kind in _WITHOUT_AREA:
        reading.report(*place, NO_AREA, shown(kind))
        return None
    if kind in ("polygon", "polyline"):
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys) >= 3:
            pairs = [value for pair in zip(xs, ys, strict=True) for value in pair]
            numbers = read_numbers(reading, place, pairs)
            return None if numbers is None else polygon(numbers, kind)
    if not isinstance(kind, str) or kind not in keys:
        reading.report(*place, SHAPE_RULE, shown(shape))
        return None
    # "theta" is in radians, and missing in files of older versions.
    numbers = read_numbers(reading, place, [*map(shape.get, keys[kind]), shape.get("theta") or 0])
    if numbers is None:
        return None
    *values, theta = numbers
    if kind == "rect":
        x, y, w, h = values
        return Outline((x, y, x + w, y + h))
    cx, cy, rx = values[:3]
    degrees = theta * 180 / 3.141592653589793
    return ellipse((cx, cy), (rx, values[-1]), degrees, kind)
