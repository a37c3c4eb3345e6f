"""Reducing decoded images by a power of two."""

from __future__ import annotations

import cv2
import numpy as np

REDUCTIONS = (1, 2, 4, 8)


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
    check_reduction(reduction)
    if reduction == 1:
        return image
    height, width = image.shape[:2]
    below, right = -height % reduction, -width % reduction
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (image.shape[1] // reduction, image.shape[0] // reduction)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def check_reduction(reduction: int) -> None:
    """Raises ValueError unless the reduction is 1, 2, 4 or 8."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"images are reduced by 1, 2, 4 or 8; got {reduction}")
