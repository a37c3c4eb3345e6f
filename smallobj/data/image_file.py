"""Reading an image file: the same decoder for training, validation and the demo."""

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
    """Decodes an image file and applies its EXIF orientation.

    Args:
        path: the file.
        reduction: 1, 2, 4 or 8, the factor by which the sides are reduced. A JPEG is decoded at
            the reduced scale, which at 1/2 takes under half the time.

    Returns:
        (H, W, 3) uint8, BGR; reduced sides are rounded up.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file isn't an image or is truncated, or the reduction isn't 1, 2, 4 or 8.
    """
    _check_reduction(reduction)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fspath(path)}: no such image file")
    data = np.fromfile(path, dtype=np.uint8)
    if _is_truncated_jpeg(data):
        raise ValueError(f"{os.fspath(path)}: truncated JPEG, its end marker is missing")
    # OpenCV reduces other formats only after decoding, by skipping pixels.
    flag = _JPEG_FLAGS[reduction] if _is_jpeg(data) else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(data, flag) if data.size else None
    except cv2.error as error:
        raise ValueError(f"{os.fspath(path)}: not decodable: {error.err}") from error
    if image is None:
        raise ValueError(f"{os.fspath(path)}: not an image that OpenCV can decode")
    return image if _is_jpeg(data) else reduce_image(image, reduction)


def reduce_image(image: np.ndarray, reduction: int) -> np.ndarray:
    """Reduces an image: each output pixel is the mean of ``reduction`` x ``reduction`` pixels.

    At the right and bottom border, missing pixels are copies of the last ones.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        reduction: 1, 2, 4 or 8.

    Returns:
        The same with sides ceil(H / reduction), ceil(W / reduction).

    Raises:
        ValueError: the reduction isn't 1, 2, 4 or 8.

    >>> reduce_image(np.array([[10, 20, 6], [30, 40, 8]], np.uint8), 2)
    array([[25,  7]], dtype=uint8)
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
    """Returns ``image_format`` if it is valid.

    Raises:
        ValueError: INPUT.FORMAT is neither BGR nor RGB.
    """
    check_choice("INPUT.FORMAT", image_format, ("BGR", "RGB"))
    return image_format


def _is_jpeg(data: np.ndarray) -> bool:
    return data[:2].tobytes() == _JPEG_START


def _is_truncated_jpeg(data: np.ndarray) -> bool:
    """Whether a JPEG has no end marker; libjpeg only warns then and fills the rest with grey."""
    if not _is_jpeg(data):
        return False
    # Skip the segments of the header, which may contain a thumbnail with its own end marker.
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _JPEG_SCAN:
        position += 2 + int.from_bytes(data[position + 2 : position + 4].tobytes(), "big")
    tail = max(position, len(data) - 65536)
    return _JPEG_END not in data[tail:].tobytes()


def quiet_decoders() -> None:
    """Keeps OpenCV and FFmpeg from printing their own messages about unreadable files."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
