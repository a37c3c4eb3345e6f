"""What the shapes of labelling tools cover: the upright box around each, polygons or a bitmap.

Coordinates are in pixels. A polygon is x1, y1, x2, y2, ...
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

# A polygon of 72 corners lies within a thousandth of the radius of its circle.
_CORNERS_OF_ELLIPSE = 72


@dataclasses.dataclass(frozen=True)
class Bitmap:
    """A mask as a crop of its image.

    Attributes:
        pixels: (h, w) bool.
        left, top: place of the first pixel in the image.
    """

    pixels: np.ndarray
    left: int
    top: int


@dataclasses.dataclass(frozen=True, slots=True)
class Outline:
    """What a shape covers.

    Attributes:
        corners: (x1, y1, x2, y2) of the upright box around it.
        kind: what it is called, unless it is an upright box: then "".
        polygons: of its border; none of an upright box or bitmaps.
        bitmaps: of its pixels.
    """

    corners: tuple[float, float, float, float]
    kind: str = ""
    polygons: Sequence[list[float]] = ()
    bitmaps: Sequence[Bitmap] = ()


def upright(x1: float, y1: float, x2: float, y2: float) -> Outline:
    """A box, drawn from any of its corners."""
    return Outline((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))


def polygon(points: Sequence[float], kind: str) -> Outline:
    """A polygon of at least one point.

    >>> polygon([3.0, 1.0, 5.0, 4.0, 2.0, 6.0], "polygon").corners
    (2.0, 1.0, 5.0, 6.0)
    """
    if not all(map(math.isfinite, points)):
        return Outline((math.nan,) * 4, kind)
    xs, ys = points[::2], points[1::2]
    return Outline((min(xs), min(ys), max(xs), max(ys)), kind, [list(points)])


def joined(parts: Sequence[Outline]) -> Outline:
    """One object of several parts."""
    polygons = [one for part in parts for one in (part.polygons or _border(part))]
    bitmaps = [one for part in parts for one in part.bitmaps]
    x1, y1, x2, y2 = zip(*(part.corners for part in parts), strict=True)
    corners = (min(x1), min(y1), max(x2), max(y2))
    return Outline(corners, parts[0].kind, polygons, bitmaps)


def _border(part: Outline) -> Sequence[list[float]]:
    if part.bitmaps:
        return ()
    x1, y1, x2, y2 = part.corners
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def turned_box(corners: Sequence[float], degrees: float, kind: str) -> Outline:
    """A box turned clockwise about its centre, as labelling tools do.

    >>> turned_box((0, 0, 4, 2), 90, "box").corners
    (1.0, -1.0, 3.0, 3.0)
    """
    x1, y1, x2, y2 = corners
    offsets = [(dx * (x2 - x1) / 2, dy * (y2 - y1) / 2) for dx, dy in _UNIT_SQUARE]
    return polygon(turned(offsets, ((x1 + x2) / 2, (y1 + y2) / 2), degrees), kind)


_UNIT_SQUARE = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def turned(
    offsets: Sequence[tuple[float, float]], centre: tuple[float, float], degrees: float
) -> list[float]:
    """x1, y1, ... of points given from a centre, turned clockwise about it (y points down)."""
    # Whole quarters are exact, or a box of 90 degrees would miss its pixels by a rounding.
    quarters, rest = divmod(degrees % 360, 90)
    sine, cosine = ((0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0))[int(quarters) % 4]
    if rest:
        sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return [
        value
        for dx, dy in offsets
        for value in (centre[0] + dx * cosine - dy * sine, centre[1] + dx * sine + dy * cosine)
    ]


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float, kind: str
) -> Outline:
    """An ellipse turned clockwise about its centre, with a polygon of 72 corners.

    >>> ellipse((5, 5), (3, 2), 0, "ellipse").corners
    (2.0, 3.0, 8.0, 7.0)
    """
    (cx, cy), (rx, ry) = centre, radii
    if not all(map(math.isfinite, (cx, cy, rx, ry, degrees))):
        return Outline((math.nan,) * 4, kind)
    steps = [2 * math.pi * step / _CORNERS_OF_ELLIPSE for step in range(_CORNERS_OF_ELLIPSE)]
    offsets = [(rx * math.cos(step), ry * math.sin(step)) for step in steps]
    # Of the ellipse itself: the polygon's corners may miss its extremes.
    x_of_rx, y_of_rx, x_of_ry, y_of_ry = turned([(rx, 0), (0, ry)], (0, 0), degrees)
    half_w, half_h = math.hypot(x_of_rx, x_of_ry), math.hypot(y_of_rx, y_of_ry)
    corners = (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
    return Outline(corners, kind, [turned(offsets, centre, degrees)])


def bitmap(pixels: np.ndarray, left: int, top: int, kind: str) -> Outline | None:
    """A mask, None if it covers no pixel.

    Args:
        pixels: (h, w) bool.
        left, top: place of the first pixel in the image.
        kind: what it is called.
    """
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return None
    x1, x2 = int(columns[0]), int(columns[-1]) + 1
    y1, y2 = int(rows[0]), int(rows[-1]) + 1
    found = Bitmap(pixels[y1:y2, x1:x2], left + x1, top + y1)
    corners = (float(left + x1), float(top + y1), float(left + x2), float(top + y2))
    return Outline(corners, kind, bitmaps=[found])
