"""Reading the sizes of many images from their headers, and listing the images in a folder."""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import PIL.Image

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_THREADS = 16
_ORIENTATION_TAG = 0x0112
_TURNED_BY_90 = (5, 6, 7, 8)


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts "9.jpg" before "10.jpg".

    >>> sorted(["10.jpg", "9.jpg"], key=natural_key)
    ['9.jpg', '10.jpg']
    """
    # Of two numbers without leading zeros the one with more digits is larger.
    parts = re.split(r"0*([0-9]+)", name)
    return [(bool(at % 2), len(part) if at % 2 else 0, part) for at, part in enumerate(parts)]


def list_images(folder: str) -> list[str]:
    """Paths of the images in a folder and below it, relative to it, in natural order."""
    paths = []
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."):
                paths.append(os.path.relpath(os.path.join(parent, name), folder))
    return sorted(paths, key=natural_key)


def _is_turned(image: PIL.Image.Image) -> bool:
    # For a PNG without EXIF, getexif would decode the whole image. For TIFFs Pillow swaps the sides
    # itself.
    if "exif" not in image.info or image.format == "TIFF":
        return False
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1) in _TURNED_BY_90
    except (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, struct.error):
        return False  # decoders ignore broken EXIF


def read_size(path: str) -> tuple[int, int] | OSError | ValueError:
    """Size (h, w) of the decoded image, read from its header; the error if it is unreadable.

    The sides of an image that EXIF declares as rotated by 90 degrees are swapped, as in decoders.
    """
    try:
        with PIL.Image.open(path) as image:
            width, height = image.size
            return (width, height) if _is_turned(image) else (height, width)
    except (OSError, ValueError) as error:
        return error
    except SyntaxError as error:  # what Pillow raises for some broken PNG headers
        return ValueError(str(error))


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
