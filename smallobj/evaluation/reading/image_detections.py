"""The detections in one image, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smallobj.geometry.masks import Rle


class ImageDetections(NamedTuple):
    """The detections in one image: XYXY pixels (N, 4) float64, (N,) float64, (N,) int64.

    ``tiles`` are those that the image was read in, (T, 4) XYXY; None where that isn't told.
    ``masks`` are N run-length masks, for an evaluator that wants them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    tiles: np.ndarray | None = None
    masks: list[Rle] | None = None


Detections = dict[int | str, ImageDetections]
