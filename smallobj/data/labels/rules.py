"""Rules for boxes, classes and numbers in all formats."""

from __future__ import annotations

import math
from collections.abc import Sequence

# A box may extend beyond its image by this many pixels (labelling tools round); it is clipped.
TOLERANCE = 1.0

FINITE_BOX = "a box must consist of finite numbers"
POSITIVE_BOX = "a box must have positive width and height"
INSIDE_BOX = f"a box must lie inside its image (tolerance {TOLERANCE:g} px)"
KNOWN_CLASS = "the class must be a known one"


def is_number(value: object) -> bool:
    """Whether a value from a file is a number; booleans are not.

    >>> is_number(3), is_number(True), is_number("3")
    (True, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def to_float(value: int | float) -> float:
    """The value as a float; infinite if it is an integer too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def class_index(value: int | float, number: int) -> int | None:
    """The class as an index in [0, number); None if it isn't one."""
    value = to_float(value)
    if not math.isfinite(value) or value != int(value) or not 0 <= value < number:
        return None
    return int(value)


def broken_box_rule(box: Sequence[float], size: tuple[int, int] | None) -> str | None:
    """The rule that a box breaks, or None.

    Args:
        box: (x, y, w, h) in pixels, (x, y) the top left corner.
        size: (h, w) of the image; None: don't check that the box is inside.

    >>> broken_box_rule([0.0, 0.0, 5.0, 0.0], (10, 10))
    'a box must have positive width and height'
    """
    x, y, w, h = box
    if not all(math.isfinite(value) for value in (x, y, w, h, x + w, y + h)):
        return FINITE_BOX
    if w <= 0 or h <= 0:
        return POSITIVE_BOX
    if size is None:
        return None
    beyond = max(-x, -y, x + w - size[1], y + h - size[0])
    _, _, clipped_w, clipped_h = clip_box(box, size)
    if beyond > TOLERANCE or clipped_w <= 0 or clipped_h <= 0:
        return INSIDE_BOX
    return None


def clip_box(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """The part of an (x, y, w, h) box inside an image of size (h, w); unchanged if it is inside.

    >>> clip_box([8.0, -0.5, 4.0, 3.5], (10, 10))
    [8.0, 0.0, 2.0, 3.0]
    """
    x, y, w, h = box
    if x >= 0 and y >= 0 and x + w <= size[1] and y + h <= size[0]:
        return [x, y, w, h]
    left, top = max(x, 0.0), max(y, 0.0)
    return [left, top, min(x + w, size[1]) - left, min(y + h, size[0]) - top]
