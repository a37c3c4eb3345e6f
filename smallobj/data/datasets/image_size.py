"""Sizes of many images from their headers, and the images in a folder."""

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
    """Sorts "9.jpg" before "10.jpg"."""
    # Of two numbers without leading zeros the longer is the larger.
    parts = re.split(r"0*([0-9]+)", name)
    return [(bool(at % 2), len(part) if at % 2 else 0, part) for at, part in enumerate(parts)]


def list_images(folder: str) -> list[str]:
    """Paths of the images in a folder and below it, relative to it, in natural order."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."):
                found.append(os.path.relpath(os.path.join(parent, name), folder))
    return sorted(found, key=natural_key)


def _is_turned(image: PIL.Image.Image) -> bool:
    # Asking a PNG that has no EXIF for it would decode the whole image; Pillow swaps the sides of
    # TIFFs itself.
    if "exif" not in image.info or image.format == "TIFF":
        return False
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1) in _TURNED_BY_90
    except (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, struct.error):
        return False  # decoders pass over broken EXIF


def read_size(path: str) -> tuple[int, int] | OSError | ValueError:
    """Size (h, w) that an image has once decoded, from its header alone; the error if unreadable.

    A photograph that EXIF declares as turned by 90 degrees has its sides swapped, as decoders do.
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
    # Pillow refuses images beyond 179 megapixels by their header, before anything is decoded.
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


def read_sizes(paths: Sequence[str]) -> list[tuple[int, int] | OSError | ValueError]:
    """``read_size`` of each path, by several threads (the disk is what takes the time)."""
    with _any_number_of_pixels(), ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read_size, paths))
