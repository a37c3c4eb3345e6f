"""Reading the sizes of many images from their headers."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import PIL.Image

from smallobj.images.kinds import read_start
from smallobj.images.orientation import ORIENTATION_TAG, is_turned_sideways, known_orientation
from smallobj.images.tiff_tags import read_tags

_THREADS = 16
_WIDTH_TAG, _HEIGHT_TAG = 0x0100, 0x0101


def read_size(path: str) -> tuple[int, int] | OSError | ValueError:
    """Size (h, w) of the upright image, read from its header; the error if it is unreadable.

    The sides of an image whose orientation turns it by 90 degrees are swapped, as in decoders.
    """
    try:
        if read_start(path).kind == "TIFF":
            return _tiff_size(path)
        with PIL.Image.open(path) as image:
            width, height = image.size
            return (width, height) if _is_turned(image) else (height, width)
    except (OSError, ValueError) as error:
        return error
    except (SyntaxError, PIL.Image.DecompressionBombError) as error:
        return ValueError(str(error))  # the first for some broken PNG headers


def _tiff_size(path: str) -> tuple[int, int]:
    # Pillow opens only some of the kinds of values that a TIFF may have.
    with open(path, "rb") as stream:
        tags = read_tags(stream, (_WIDTH_TAG, _HEIGHT_TAG, ORIENTATION_TAG))
    sides = [tags.get(tag, (0,))[0] for tag in (_HEIGHT_TAG, _WIDTH_TAG)]
    if min(sides) < 1:
        raise ValueError("its TIFF directory names no width and height")
    is_turned = is_turned_sideways(known_orientation(tags.get(ORIENTATION_TAG, ())))
    return (sides[1], sides[0]) if is_turned else (sides[0], sides[1])


def _is_turned(image: PIL.Image.Image) -> bool:
    # For a PNG without EXIF, getexif would decode the whole image.
    if "exif" not in image.info:
        return False
    try:
        orientation = image.getexif().get(ORIENTATION_TAG)
    except (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, struct.error):
        return False  # decoders ignore broken EXIF
    return is_turned_sideways(known_orientation((orientation,)))


@contextlib.contextmanager
def _any_number_of_pixels() -> Iterator[None]:
    # Pillow refuses to open images beyond 179 megapixels, even to read their header.
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


def read_sizes(paths: Sequence[str]) -> list[tuple[int, int] | OSError | ValueError]:
    """``read_size`` of each path, in several threads (most of the time goes to the disk)."""
    with _any_number_of_pixels(), ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read_size, paths))
