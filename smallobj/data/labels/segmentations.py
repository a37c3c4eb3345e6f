"""Strict reading of COCO's ``segmentation`` of a label: polygons or run-length masks.

A run-length mask that doesn't fit its image is refused here, before it reaches the C code of
pycocotools.
"""

from __future__ import annotations

import math
from typing import Any

from pycocotools import mask as mask_utils

from smallobj.data.labels.problems import shown
from smallobj.data.labels.rules import FIX, Rule, is_number, rule
from smallobj.data.labels.shapes import enclosing_box
from smallobj.geometry.masks import Rle, compressed

SEGMENTATION_RULE = rule(
    "mask-kind",
    "segmentation must be a list of polygons or a run-length mask",
    fixed="mask left out",
    dropped="box",
)
FLAT_RULE = rule(
    "mask-flat",
    "segmentation must be a list of polygons, each a list of numbers",
    FIX,
    fixed="numbers taken as one polygon",
    dropped="box",
)
POLYGON_RULE = rule(
    "mask-polygon",
    "a polygon must be a list of finite numbers, x1, y1, x2, y2, ...",
    fixed="mask left out",
    dropped="box",
)
INSIDE_RULE = rule(
    "mask-outside", "a polygon must reach into its image", fixed="mask left out", dropped="box"
)
RLE_RULE = rule(
    "mask-rle",
    "a run-length mask must be an object with size, [h, w], and counts, a list or a string",
    fixed="mask left out",
    dropped="box",
)
RLE_SIZE_RULE = rule(
    "mask-size",
    "a run-length mask must have the size of its image",
    fixed="mask left out",
    dropped="box",
)
RLE_COUNTS_RULE = rule(
    "mask-counts",
    "the counts of a run-length mask must be whole numbers that add up to its pixels",
    fixed="mask left out",
    dropped="box",
)
RLE_EMPTY_RULE = rule(
    "mask-empty",
    "a run-length mask must cover at least one pixel",
    fixed="mask left out",
    dropped="box",
)

# Largest number of 5-bit pieces in a count; more than enough for 32 bits.
_MOST_PIECES = 8


def read_segmentation(value: Any, size: tuple[int, int]) -> tuple[Any, tuple[Rule, str] | None]:
    """The usable part of a segmentation, and the rule that it breaks.

    Many programs write an empty list or polygons of two points if they know only the box. These are
    left out, but don't break a rule.

    Args:
        value: the value in the file.
        size: (h, w) of the image.

    Returns:
        Polygons of at least three points, or a run-length mask with counts as a string, or None if
        there is no mask; and the broken rule as (rule, value), or None. What is usable after fixing
        is given with a broken rule, too.
    """
    if value is None:
        return None, None
    if isinstance(value, dict):
        return _read_rle(value, size)
    if not isinstance(value, list):
        return None, (SEGMENTATION_RULE, shown(value))
    flat = None
    if len(value) >= 6 and len(value) % 2 == 0 and all(map(_is_finite, value)):
        flat, value = (FLAT_RULE, shown(value)), [value]
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
    return polygons or None, flat


def mask_box(mask: list[list[float]] | Rle) -> list[float]:
    """(x, y, w, h) around polygons or a run-length mask of :func:`read_segmentation`.

    >>> mask_box([[2, 3, 6, 3, 6, 8]])
    [2.0, 3.0, 4.0, 5.0]
    """
    if isinstance(mask, dict):
        return [float(value) for value in mask_utils.toBbox(mask)]
    return enclosing_box([float(value) for polygon in mask for value in polygon])


def scaled(segmentation: Any, scale: tuple[float, float]) -> Any:
    """Polygons multiplied by (x, y) factors; anything else, and broken polygons, as it is.

    >>> scaled([[1, 2, 3, 4, 5, 6]], (2, 1))
    [[2, 2, 6, 4, 10, 6]]
    """
    if scale == (1.0, 1.0) or not isinstance(segmentation, list):
        return segmentation
    if segmentation and all(map(is_number, segmentation)):
        return [value * scale[at % 2] for at, value in enumerate(segmentation)]
    return [
        scaled(polygon, scale)
        if isinstance(polygon, list) and all(map(is_number, polygon))
        else polygon
        for polygon in segmentation
    ]


def _is_finite(value: object) -> bool:
    if not is_number(value):
        return False
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer too large for a float
        return False


def _read_rle(value: Rle, size: tuple[int, int]) -> tuple[Rle | None, tuple[Rule, str] | None]:
    rle_size, counts = value.get("size"), value.get("counts")
    if not isinstance(rle_size, list) or len(rle_size) != 2 or not isinstance(counts, list | str):
        return None, (RLE_RULE, shown(value))
    if rle_size != list(size):
        return None, (RLE_SIZE_RULE, f"{shown(rle_size)}; the image has {list(size)}")
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
        return {"size": rle_size, "counts": counts}, None
    return compressed({"size": rle_size, "counts": numbers}), None


def rle_counts(text: str) -> list[int] | None:
    """Decodes the counts of a compressed run-length mask; None if the text is malformed.

    Each number is written in pieces of five bits, lowest first, each with a sixth bit that says
    whether another piece follows. From the fourth count on, the number is the difference from the
    count two before.

    >>> rle_counts("5300")
    [5, 3, 0, 3]
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
        if code & 16:  # the sign bit, which extends to all higher bits
            value -= 1 << (5 * pieces)
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = pieces = 0
    return counts if pieces == 0 else None
