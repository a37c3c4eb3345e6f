"""Orientation of images (the Exif and TIFF tag 0x0112): reading it, and turning pixels upright."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

from smallobj.images import jpeg
from smallobj.images.broken import BrokenImageError
from smallobj.images.tiff_tags import read_tags

ORIENTATION_TAG = 0x0112
Box = tuple[int, int, int, int]
# By orientation: upright = stored with (rows reversed, columns reversed), then transposed.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}
UPRIGHT = 1


def is_turned_sideways(orientation: int) -> bool:
    """Whether the upright image has the stored image's width as its height."""
    return _TURNS[orientation][2]


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """The upright image, a view.

    >>> turn(np.array([[1, 2, 3], [4, 5, 6]]), 6)
    array([[4, 1],
           [5, 2],
           [6, 3]])

    Args:
        image: (h, w, ...) as stored.
        orientation: 1 to 8.
    """
    rows, columns, is_transposed = _TURNS[orientation]
    turned = image[:: -1 if rows else 1, :: -1 if columns else 1]
    return turned.swapaxes(0, 1) if is_transposed else turned


def stored_window(window: Box, stored_size: tuple[int, int], orientation: int) -> Box:
    """The window (x0, y0, x1, y1) of the stored image that holds a window of the upright one.

    Args:
        window: of the upright image.
        stored_size: (h, w) of the stored image.
        orientation: 1 to 8.
    """
    rows, columns, is_transposed = _TURNS[orientation]
    x0, y0, x1, y1 = window
    if is_transposed:
        x0, y0, x1, y1 = y0, x0, y1, x1
    height, width = stored_size
    if columns:
        x0, x1 = width - x1, width - x0
    if rows:
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1


def stored_from_upright(
    stored_size: tuple[int, int], orientation: int
) -> tuple[float, float, float, float, float, float]:
    """Coefficients (a, b, c, d, e, f) of the affine map from upright (x, y) to stored (x, y)."""
    rows, columns, is_transposed = _TURNS[orientation]
    height, width = stored_size
    along, across = (-1.0 if columns else 1.0), (-1.0 if rows else 1.0)
    left, top = (float(width) if columns else 0.0), (float(height) if rows else 0.0)
    if is_transposed:
        return 0.0, along, left, across, 0.0, top
    return along, 0.0, left, 0.0, across, top


def orientation_of(path: str, kind: str) -> int:
    """Orientation that a file of a kind names; upright if its tags are broken, as decoders do.

    Raises:
        BrokenImageError: a truncated PNG.
    """
    if kind == "TIFF":
        with suppress(ValueError), open(path, "rb") as stream:
            return _orientation(stream)
        return UPRIGHT
    block = None
    if kind == "PNG":
        block = _png_exif(path)
    elif kind == "JPEG":
        # Mapped, since only the header is read.
        block = jpeg.exif(np.memmap(path, np.uint8, "r"))
    if block is not None:
        with suppress(ValueError):
            return exif_orientation(block)
    return UPRIGHT


def exif_orientation(block: bytes) -> int:
    """Orientation in an Exif block; UPRIGHT if it names none from 1 to 8.

    Raises:
        ValueError: the block is broken.
    """
    return _orientation(io.BytesIO(block))


def _orientation(stream: BinaryIO) -> int:
    return known_orientation(read_tags(stream, (ORIENTATION_TAG,)).get(ORIENTATION_TAG, ()))


def known_orientation(values: Sequence[Any]) -> int:
    """The first of a tag's values if it is an orientation, else UPRIGHT."""
    return values[0] if len(values) and values[0] in _TURNS else UPRIGHT


def _png_exif(path: str) -> bytes | None:
    """Content of a PNG's Exif chunk.

    Raises:
        ValueError: the file is truncated, which GDAL reads without an error.
    """
    found = None
    with open(path, "rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"IEND":
                return found
            if name == b"eXIf":
                found = stream.read(length)
                length = 0
            stream.seek(length + 4, os.SEEK_CUR)
    raise BrokenImageError(f"{path}: truncated PNG, its end marker is missing")
