"""Box arithmetic that detectron2.structures lacks. Pure functions; boxes are XYXY."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.structures import BoxMode


def annotation_boxes(annotations: Sequence[dict[str, Any]]) -> np.ndarray:
    """Boxes of a dataset dict's annotations, whatever their modes: (N, 4) float64, pixels."""
    boxes = [
        BoxMode.convert(list(a["bbox"]), a["bbox_mode"], BoxMode.XYXY_ABS) for a in annotations
    ]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def wasserstein_similarity(
    boxes1: torch.Tensor, boxes2: torch.Tensor, constant: float
) -> torch.Tensor:
    """Normalised Gaussian Wasserstein distance of box pairs, exp(-W2 / C).

    Each box is read as the Gaussian with mean at its centre and standard deviations of half its
    sides; W2 is the 2-Wasserstein distance of the two. Unlike IoU it has a slope where the boxes
    don't meet, and a shift by a pixel costs a small box no more than a large one.
    Source: arXiv 2110.13389, section 3.2.

    Args:
        boxes1, boxes2: (N, 4) XYXY in pixels.
        constant: C, in pixels.

    Returns:
        (N,) in (0, 1], 1 for equal boxes.
    """
    offset = (boxes1[:, :2] + boxes1[:, 2:] - boxes2[:, :2] - boxes2[:, 2:]) / 2
    scale = (boxes1[:, 2:] - boxes1[:, :2] - boxes2[:, 2:] + boxes2[:, :2]) / 2
    squared = offset.square().sum(dim=1) + scale.square().sum(dim=1)
    # The square root has no finite slope at 0.
    return torch.exp(-torch.sqrt(squared + 1e-7) / constant)


def enlarge(boxes: torch.Tensor, scale: float) -> torch.Tensor:
    """Boxes with their sides multiplied by ``scale`` about their centres.

    Args:
        boxes: (N, 4) XYXY.
        scale: factor, positive; 1 changes nothing.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return torch.cat([centre - half, centre + half], dim=1)
