"""Reading one photograph: the same decoder for training, validation and the demo."""

from __future__ import annotations

import os

import cv2
import numpy as np

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


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
    # libjpeg fills what is missing with grey and only warns.
    is_jpeg = data[:2].tobytes() == _JPEG_START
    if is_jpeg and _JPEG_END not in data[-65536:].tobytes():
        raise ValueError(f"{os.fspath(path)}: truncated JPEG, its end marker is missing")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        raise ValueError(f"{os.fspath(path)}: not decodable: {error.err}") from error
    if image is None:
        raise ValueError(f"{os.fspath(path)}: not an image that OpenCV can decode")
    return image
