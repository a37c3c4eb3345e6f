"""Polygons of label files: the box around one, and its part inside the image.

A polygon is x1, y1, x2, y2, ... in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def enclosing_box(points: Sequence[float]) -> list[float]:
    """The upright box (x, y, w, h) around a polygon; NaN if a coordinate is no finite number.

    >>> enclosing_box([3.0, 1.0, 5.0, 4.0, 2.0, 6.0])
    [2.0, 1.0, 3.0, 5.0]
    """
    if not all(map(math.isfinite, points)):
        return [math.nan] * 4
    xs, ys = points[::2], points[1::2]
    left, top = min(xs), min(ys)
    return [left, top, max(xs) - left, max(ys) - top]


def inside(points: Sequence[float], size: tuple[int, int]) -> list[float]:
    """The polygon with points beyond the image of size (h, w) moved to its edge.

    >>> inside([-1.0, 1.0, 5.0, 4.0, 2.0, 12.0], (10, 4))
    [0.0, 1.0, 4.0, 4.0, 2.0, 10.0]
    """
    height, width = size
    xs, ys = points[::2], points[1::2]
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return list(points)
    return [
        min(max(value, 0.0), float(height if at % 2 else width)) for at, value in enumerate(points)
    ]
