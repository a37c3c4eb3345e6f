"""Reading an image file: the same pixels for training, validation, demo and scans."""

from __future__ import annotations

import os

import cv2
import numpy as np

from smallobj.checks import check_choice
from smallobj.images.decoding import decode_file
from smallobj.images.kinds import read_start
from smallobj.images.pixels import DEFAULT_CONVERSION, PixelConversion
from smallobj.images.raster import Raster
from smallobj.images.reduction import check_reduction, reduce_image


def read_image(
    path: str | os.PathLike[str],
    reduction: int = 1,
    conversion: PixelConversion = DEFAULT_CONVERSION,
) -> np.ndarray:
    """Decodes an image file and applies its orientation.

    Args:
        path: the file.
        reduction: 1, 2, 4 or 8, the factor by which the sides are reduced. A JPEG is decoded at
            the reduced scale, which at 1/2 takes under half the time.
        conversion: which bands are read, and how values of more than 8 bits become 8.

    Returns:
        (H, W, 3) uint8, BGR; reduced sides are rounded up.

    Raises:
        FileNotFoundError: there is no such file.
        BrokenImageError: the file isn't an image that is read, or is truncated or broken.
        ValueError: it lacks a chosen band, its values need limits that the config doesn't name, or
            the reduction isn't 1, 2, 4 or 8.
    """
    check_reduction(reduction)
    name = os.fspath(path)
    start = read_start(name)
    by_windows = start.kind in ("TIFF", "JPEG 2000") or start.is_deep
    # The decoder of whole images gives colours alone, without alpha.
    if not by_windows and not (conversion.bands and start.kind in ("PNG", "BMP")):
        return decode_file(name, start.kind, reduction, conversion.bands)
    with Raster(name, conversion) as raster:
        height, width = raster.size
        return reduce_image(raster.read((0, 0, width, height)), reduction)


def check_format(image_format: str) -> str:
    """Returns ``image_format`` if it is valid.

    Raises:
        ValueError: INPUT.FORMAT is neither BGR nor RGB.
    """
    check_choice("INPUT.FORMAT", image_format, ("BGR", "RGB"))
    return image_format


def quiet_decoders() -> None:
    """Keeps OpenCV and FFmpeg from printing their own messages about unreadable files."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
