"""Objects of formats that write numbers as texts, and whose images may be of unknown size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import broken_box_rule, is_number, rule, to_float

NUMBER = rule("box-not-numbers", "a coordinate must be a number", dropped="box")
SCORE = rule("score", "a score must be a number from 0 to 1", dropped="box")


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
    record: dict[str, Any],
    place: tuple[str, str],
    index: int | None,
    corners: Sequence[float] | None,
    *,
    score: Any = None,
    crowd: bool = False,
) -> None:
    """Adds an object to its image, or reports all rules that it breaks.

    Args:
        reading: receives the problems.
        record: the image. Without "height" its size is unknown, and the box is not clipped; a
            height of 0 is that of an image whose file cannot be read.
        place: file and entry that a problem names.
        index: contiguous class, None where it was reported already.
        corners: (x1, y1, x2, y2) in pixels, None where they were reported already.
        score: a number or its text; None for a label.
        crowd: the box stands for many objects.
    """
    # No early return: one reading reports all rules that an object breaks.
    number = to_number(score)
    if score is not None and (number is None or not 0 <= number <= 1):
        reading.report(*place, SCORE, shown(score))
        index = None
    box = None if corners is None else _checked(reading, record, place, corners)
    if box is None or index is None:
        return
    annotation = reading.make_annotation(box, index, int(crowd))
    if score is not None:
        annotation["score"] = number
    record["annotations"].append(annotation)


def _checked(
    reading: DatasetReading,
    record: dict[str, Any],
    place: tuple[str, str],
    corners: Sequence[float],
) -> list[float] | None:
    x1, y1, x2, y2 = corners
    box = [x1, y1, x2 - x1, y2 - y1]
    if record.get("height"):
        return reading.box(*place, box, (record["height"], record["width"]))
    # Only the rules that need no size.
    broken = broken_box_rule(box, None)
    if broken is not None:
        reading.report(*place, broken, str(list(corners)))
    return None if broken is not None or "height" in record else box
