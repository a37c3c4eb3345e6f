"""Reading one photograph: the same decoder for training, validation and the demo."""

from __future__ import annotations

import os

import cv2
import numpy as np

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", 0xDA, b"\xff\xd9"


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decodes an image file, its EXIF orientation applied.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no image, or a truncated one.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fspath(path)}: no such image file")
    data = np.fromfile(path, dtype=np.uint8)
    if _is_truncated_jpeg(data):
        raise ValueError(f"{os.fspath(path)}: truncated JPEG, its end marker is missing")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        raise ValueError(f"{os.fspath(path)}: not decodable: {error.err}") from error
    if image is None:
        raise ValueError(f"{os.fspath(path)}: not an image that OpenCV can decode")
    return image


def check_format(image_format: str) -> str:
    """
    Raises:
        ValueError: INPUT.FORMAT is neither BGR nor RGB.
    """
    if image_format not in ("BGR", "RGB"):
        raise ValueError(f"INPUT.FORMAT must be BGR or RGB; got {image_format!r}")
    return image_format


def _is_truncated_jpeg(data: np.ndarray) -> bool:
    """Whether a JPEG's end marker is missing: libjpeg fills the rest with grey and only warns."""
    if data[:2].tobytes() != _JPEG_START:
        return False
    # Skip the header's segments, one of which may hold a thumbnail with an end marker of its own.
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _JPEG_SCAN:
        position += 2 + int.from_bytes(data[position + 2 : position + 4].tobytes(), "big")
    tail = max(position, len(data) - 65536)
    return _JPEG_END not in data[tail:].tobytes()
