"""The shapes of CVAT's XML: what the elements below an image or a track cover."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from smallobj.data.labels.objects import IMAGE_TAG, NO_AREA, read_numbers
from smallobj.data.labels.outlines import (
    Outline,
    bitmap,
    ellipse,
    polygon,
    turned_box,
)
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import rule

CORNERS = ("xtl", "ytl", "xbr", "ybr")
_ELLIPSE = ("cx", "cy", "rx", "ry")
_CROP = ("left", "top", "width", "height")
_CUBOID = tuple(
    f"{axis}{corner}{side}"
    for side in (1, 2)
    for corner in ("tl", "bl", "tr", "br")
    for axis in "xy"
)
WITHOUT_AREA = ("points", "polyline", "skeleton")
_NEEDED = {
    "box": CORNERS,
    "ellipse": _ELLIPSE,
    "polygon": ("points",),
    "mask": ("rle", *_CROP),
    "cuboid": _CUBOID,
}
_KIND_RULE = rule(
    "cvat-shape", f"a shape must be one of {', '.join((*_NEEDED, *WITHOUT_AREA))}", dropped="shape"
)
_NEEDED_RULE = rule(
    "cvat-coordinates",
    "a shape must have its coordinates: a box xtl, ytl, xbr and ybr",
    dropped="shape",
)
_MASK_RULE = rule(
    "cvat-mask",
    "the counts in a mask's rle must add up to its width and height, and it must lie in its image",
    dropped="shape",
)
# Of a mask in a frame of unknown size.
_MOST_PIXELS = 10**8


def read_outline(
    element: Element,
    size: tuple[int, int] | None,
    place: tuple[str, str],
    reading: DatasetReading,
) -> Outline | None:
    """What a shape covers; None after reporting why it isn't known.

    Args:
        element: below an image or a track.
        size: (h, w) of the image as CVAT knows it; None where it isn't told.
        place: file and entry that a problem names.
        reading: receives the problems.
    """
    kind = element.tag
    if kind == "tag":
        reading.report(*place, IMAGE_TAG, shown(element.get("label")))
        return None
    if kind in WITHOUT_AREA:
        reading.report(*place, NO_AREA, f"<{kind}>")
        return None
    if kind not in _NEEDED:
        reading.report(*place, _KIND_RULE, f"<{kind}>")
        return None
    texts = [element.get(key) for key in _NEEDED[kind]]
    if any(text is None for text in texts):
        reading.report(*place, _NEEDED_RULE, f"<{kind}> with {shown(element.attrib)}")
        return None
    if kind == "polygon":
        return _polygon(element.get("points", ""), place, reading)
    if kind == "mask":
        return _mask(element, size, place, reading)
    # With the rotation behind the coordinates, so that a text in it is told, too.
    numbers = read_numbers(reading, place, [*texts, element.get("rotation") or "0"])
    if numbers is None:
        return None
    *values, degrees = numbers
    if kind == "cuboid":
        return Outline(polygon(values, kind).corners, kind)
    if kind == "ellipse":
        cx, cy, rx, ry = values
        return ellipse((cx, cy), (rx, ry), degrees, kind)
    # A full turn is none.
    if degrees % 360:
        return turned_box(values, degrees, f"box turned by {degrees:g} degrees")
    x1, y1, x2, y2 = values
    return Outline((x1, y1, x2, y2))


def _polygon(text: str, place: tuple[str, str], reading: DatasetReading) -> Outline | None:
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        reading.report(*place, _NEEDED_RULE, f"<polygon> with points {shown(text)}")
        return None
    if len(pairs) < 3:
        reading.report(*place, NO_AREA, f"<polygon> with points {shown(text)}")
        return None
    numbers = read_numbers(reading, place, [value for pair in pairs for value in pair])
    return None if numbers is None else polygon(numbers, "polygon")


def _mask(
    element: Element,
    size: tuple[int, int] | None,
    place: tuple[str, str],
    reading: DatasetReading,
) -> Outline | None:
    """A mask: counts of pixels row by row of a crop, outside and inside in turn."""
    rle = element.get("rle", "")
    numbers = read_numbers(
        reading, place, [*(element.get(key) for key in _CROP), *filter(str.strip, rle.split(","))]
    )
    if numbers is None:
        return None
    found = None
    if all(number.is_integer() and number >= 0 for number in numbers):
        left, top, width, height, *counts = map(int, numbers)
        is_inside = width * height <= _MOST_PIXELS
        if size is not None:
            is_inside = left + width <= size[1] and top + height <= size[0]
        if is_inside and sum(counts) == width * height > 0:
            values = np.arange(len(counts)) % 2 == 1
            pixels = np.repeat(values, counts).reshape(height, width)
            found = bitmap(pixels, left, top, "mask")
    if found is None:
        value = f"{shown(rle)} in {[element.get(key) for key in _CROP]}"
        reading.report(*place, _MASK_RULE, value)
    return found
