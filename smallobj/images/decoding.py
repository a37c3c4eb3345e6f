"""Decoding whole image files of 8 bits, upright: JPEG, PNG, WebP, GIF, AVIF, BMP, netpbm."""

from __future__ import annotations

import functools
import io
import logging

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps

from smallobj.images import jpeg
from smallobj.images.broken import BrokenImageError
from smallobj.images.layout import check_bands, choose_channels
from smallobj.images.orientation import exif_orientation
from smallobj.images.reduction import check_reduction, reduce_image

_logger = logging.getLogger(__name__)
_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decode_file(
    path: str, kind: str, reduction: int = 1, bands: tuple[int, ...] = ()
) -> np.ndarray:
    """Decodes a file and applies its Exif orientation.

    Args:
        path: the file.
        kind: as :func:`smallobj.images.kinds.read_start` says; with another one OpenCV is asked.
        reduction: 1, 2, 4 or 8; a JPEG is decoded at the reduced scale.
        bands: INPUT.BANDS.

    Returns:
        (H, W, 3) uint8, BGR; alpha is left out.

    Raises:
        BrokenImageError: the file isn't an image, is truncated, or lacks a chosen band.
    """
    check_reduction(reduction)
    data = np.fromfile(path, dtype=np.uint8)
    is_jpeg = jpeg.is_jpeg(data)
    if is_jpeg:
        if not jpeg.is_whole(data):
            raise BrokenImageError(f"{path}: truncated JPEG, its end marker is missing")
        _warn_of_broken_exif(path, data)
    if kind == "AVIF":
        image = _decode_avif(path, data)
    else:
        # OpenCV reduces other formats only after decoding, by skipping pixels.
        image = _decode(path, data, _JPEG_FLAGS[reduction] if is_jpeg else cv2.IMREAD_COLOR)
    if bands:
        check_bands(path, bands, 1 if is_jpeg and jpeg.components(data) == 1 else 3)
        image = choose_channels(image, bands)
    return image if is_jpeg else reduce_image(image, reduction)


def _decode(path: str, data: np.ndarray, flag: int) -> np.ndarray:
    try:
        image = cv2.imdecode(data, flag) if data.size else None
    except cv2.error as error:
        raise BrokenImageError(f"{path}: not decodable: {error.err}") from error
    if image is None:
        raise BrokenImageError(f"{path}: not an image that OpenCV can decode")
    return image


def _decode_avif(path: str, data: np.ndarray) -> np.ndarray:
    # OpenCV doesn't turn AVIF images upright.
    try:
        with PIL.Image.open(io.BytesIO(data.tobytes()), formats=("AVIF",)) as stored:
            upright = PIL.ImageOps.exif_transpose(stored).convert("RGB")
            return np.ascontiguousarray(np.asarray(upright)[:, :, ::-1])
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise BrokenImageError(f"{path}: not decodable as AVIF: {error}") from error


def _warn_of_broken_exif(path: str, data: np.ndarray) -> None:
    block = jpeg.exif(data)
    try:
        if block is not None:
            exif_orientation(block)
    except ValueError:
        _warn_once(path)


@functools.cache
def _warn_once(path: str) -> None:
    _logger.warning("%s: its EXIF data are broken; the image is taken to be upright", path)
