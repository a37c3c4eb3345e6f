"""COCO's ``segmentation`` of a label: polygons or run-length masks, read strictly.

A run-length mask that doesn't fit its image is refused here, before pycocotools' C code sees it.
"""

from __future__ import annotations

import math
from typing import Any

from smallobj.data.datasets.problems import shown
from smallobj.data.datasets.rules import is_number
from smallobj.geometry.masks import Rle, compressed

SEGMENTATION_RULE = "segmentation must be a list of polygons or a run-length mask"
POLYGON_RULE = "a polygon must be a list of finite numbers, x1, y1, x2, y2, ..."
INSIDE_RULE = "a polygon must reach into its image"
RLE_RULE = "a run-length mask must be an object with size, [h, w], and counts, a list or a text"
RLE_SIZE_RULE = "a run-length mask must have the size of its image"
RLE_COUNTS_RULE = "the counts of a run-length mask must be whole numbers that add up to its pixels"
RLE_EMPTY_RULE = "a run-length mask must cover a pixel"

# More than enough for 32 bits in pieces of five.
_MOST_PIECES = 8


def read_segmentation(value: Any, size: tuple[int, int]) -> tuple[Any, tuple[str, str] | None]:
    """What is usable of a segmentation, and the rule that it breaks with the value received.

    Many writers put an empty list or two-point polygons where they know only the box, so these are
    left out, and are no broken label.

    Args:
        value: as it stands in the file.
        size: (h, w) of the image.

    Returns:
        polygons of at least three points, or a run-length mask whose counts are text, or None
        where there is no mask; and (rule, value) or None.
    """
    if value is None:
        return None, None
    if isinstance(value, dict):
        return _read_rle(value, size)
    if not isinstance(value, list):
        return None, (SEGMENTATION_RULE, shown(value))
    polygons = []
    for polygon in value:
        if not isinstance(polygon, list) or len(polygon) % 2 or not all(map(_is_finite, polygon)):
            return None, (POLYGON_RULE, shown(polygon))
        if len(polygon) < 6:
            continue
        xs, ys = polygon[::2], polygon[1::2]
        if max(xs) <= 0 or max(ys) <= 0 or min(xs) >= size[1] or min(ys) >= size[0]:
            return None, (INSIDE_RULE, f"{shown(polygon)} in {size[1]}x{size[0]}")
        polygons.append(polygon)
    return polygons or None, None


def _is_finite(value: object) -> bool:
    if not is_number(value):
        return False
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer too large for a float
        return False


def _read_rle(value: Rle, size: tuple[int, int]) -> tuple[Rle | None, tuple[str, str] | None]:
    told, counts = value.get("size"), value.get("counts")
    if not isinstance(told, list) or len(told) != 2 or not isinstance(counts, list | str):
        return None, (RLE_RULE, shown(value))
    if told != list(size):
        return None, (RLE_SIZE_RULE, f"{shown(told)}; the image has {list(size)}")
    numbers = rle_counts(counts) if isinstance(counts, str) else counts
    if (
        numbers is None
        or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)
        or sum(numbers) != size[0] * size[1]
    ):
        return None, (RLE_COUNTS_RULE, shown(counts))
    if not any(numbers[1::2]):
        return None, (RLE_EMPTY_RULE, shown(counts))
    if isinstance(counts, str):
        return {"size": told, "counts": counts}, None
    return compressed({"size": told, "counts": numbers}), None


def rle_counts(text: str) -> list[int] | None:
    """The counts that a compressed run-length mask stands for; None where it is malformed.

    Each is written in pieces of five bits, the lowest first, with a sixth bit that says whether
    another follows; from the fourth on, as the difference from the one before the last.
    """
    counts: list[int] = []
    value = pieces = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or pieces == _MOST_PIECES:
            return None
        value |= (code & 31) << (5 * pieces)
        pieces += 1
        if code & 32:
            continue
        if code & 16:  # the sign, carried on through all higher bits
            value -= 1 << (5 * pieces)
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = pieces = 0
    return counts if pieces == 0 else None
