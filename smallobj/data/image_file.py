"""Reading one photograph: the same decoder for training, validation and the demo."""

from __future__ import annotations

import os

import cv2
import numpy as np

from smallobj.checks import check_choice

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", 0xDA, b"\xff\xd9"


_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_image(path: str | os.PathLike[str], reduction: int = 1) -> np.ndarray:
    """Decodes an image file, its EXIF orientation applied.

    Args:
        path: file.
        reduction: 1, 2, 4 or 8; the image comes reduced by it. A JPEG is decoded at that scale,
            which at 1/2 takes under half the time.

    Returns:
        (H, W, 3) uint8, BGR; reduced sides are rounded up.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no image, or a truncated one, or another reduction.
    """
    _check_reduction(reduction)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fspath(path)}: no such image file")
    data = np.fromfile(path, dtype=np.uint8)
    if _is_truncated_jpeg(data):
        raise ValueError(f"{os.fspath(path)}: truncated JPEG, its end marker is missing")
    # OpenCV reduces other formats after decoding, from every second pixel.
    flag = _JPEG_FLAGS[reduction] if _is_jpeg(data) else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(data, flag) if data.size else None
    except cv2.error as error:
        raise ValueError(f"{os.fspath(path)}: not decodable: {error.err}") from error
    if image is None:
        raise ValueError(f"{os.fspath(path)}: not an image that OpenCV can decode")
    return image if _is_jpeg(data) else reduce_image(image, reduction)


def reduce_image(image: np.ndarray, reduction: int) -> np.ndarray:
    """The means of squares of ``reduction`` pixels a side; what sticks out counts its last pixels.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        reduction: 1, 2, 4 or 8.

    Returns:
        the same with sides ceil(H / reduction), ceil(W / reduction).

    Raises:
        ValueError: another reduction.
    """
    _check_reduction(reduction)
    if reduction == 1:
        return image
    height, width = image.shape[:2]
    below, right = -height % reduction, -width % reduction
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (image.shape[1] // reduction, image.shape[0] // reduction)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _check_reduction(reduction: int) -> None:
    if reduction not in _JPEG_FLAGS:
        raise ValueError(f"images are reduced by 1, 2, 4 or 8; got {reduction}")


def check_format(image_format: str) -> str:
    """
    Raises:
        ValueError: INPUT.FORMAT is neither BGR nor RGB.
    """
    check_choice("INPUT.FORMAT", image_format, ("BGR", "RGB"))
    return image_format


def _is_jpeg(data: np.ndarray) -> bool:
    return data[:2].tobytes() == _JPEG_START


def _is_truncated_jpeg(data: np.ndarray) -> bool:
    """Whether a JPEG's end marker is missing: libjpeg fills the rest with grey and only warns."""
    if not _is_jpeg(data):
        return False
    # Skip the header's segments, one of which may hold a thumbnail with an end marker of its own.
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _JPEG_SCAN:
        position += 2 + int.from_bytes(data[position + 2 : position + 4].tobytes(), "big")
    tail = max(position, len(data) - 65536)
    return _JPEG_END not in data[tail:].tobytes()


def quiet_decoders() -> None:
    """Keeps OpenCV and FFmpeg from printing their own words about files that can't be read."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
