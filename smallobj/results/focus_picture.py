"""A picture of a focus network's output: its heat map and regions drawn over the image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from smallobj.data.image_file import read_image
from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.regions import lies_whole_in_any
from smallobj.images.pixels import DEFAULT_CONVERSION, PixelConversion

_SIDE = 1400
_KEPT, _MISSED, _REGION = (60, 220, 60), (40, 40, 255), (255, 200, 0)  # BGR


def draw_focus(
    sample: dict[str, Any],
    heat: np.ndarray,
    stride: int,
    regions: np.ndarray,
    conversion: PixelConversion = DEFAULT_CONVERSION,
) -> np.ndarray:
    """Heat as a red overlay, regions as light blue frames, objects green if kept, else red.

    A labelled object is kept if it lies completely in a region.

    Args:
        sample: dataset dict with annotations.
        heat: (h, w) in [0, 1].
        stride: side of a cell in pixels of the image.
        regions: (T, 4) XYXY in pixels of the image.
        conversion: how the file is read.

    Returns:
        (H, W, 3) uint8, BGR; the image reduced to at most 1400 px a side.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_image`.
    """
    image = read_image(sample["file_name"], conversion=conversion)
    size = image.shape[:2]
    scale = min(1.0, _SIDE / max(size))
    picture = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    overlay = cv2.resize(
        heat.astype(np.float32), None, fx=stride, fy=stride, interpolation=cv2.INTER_NEAREST
    )[: size[0], : size[1]]
    overlay = cv2.resize(overlay, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
    picture = (picture * (1 - 0.7 * overlay) + 0.7 * overlay * np.array(_MISSED)).astype(np.uint8)
    boxes = annotation_boxes(sample.get("annotations", []))
    kept = lies_whole_in_any(boxes, regions, size, 0)
    for frames, colors in ((regions, [_REGION] * len(regions)), (boxes, _colors(kept))):
        for (x0, y0, x1, y1), color in zip(
            (frames * scale).round().astype(int), colors, strict=True
        ):
            cv2.rectangle(picture, (x0 - 2, y0 - 2), (x1 + 1, y1 + 1), color, 2)
    return picture


def _colors(kept: np.ndarray) -> list[tuple[int, int, int]]:
    return [_KEPT if is_kept else _MISSED for is_kept in kept]
