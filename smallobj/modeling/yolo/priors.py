"""YOLO's priors: in each cell of a feature a few boxes of given widths and heights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ANCHOR_GENERATOR_REGISTRY
from detectron2.modeling.anchor_generator import BufferList, DefaultAnchorGenerator


@ANCHOR_GENERATOR_REGISTRY.register()
class YOLOPriorGenerator(DefaultAnchorGenerator):
    """Detectron2's anchors centred on cells, with given sides instead of sizes and ratios."""

    @configurable
    def __init__(self, *, sides: Sequence[Sequence[float]], strides: Sequence[int]) -> None:
        """
        Args:
            sides: (w, h) of all priors in pixels, the same number for each feature, finest first.
            strides: strides of the features.

        Raises:
            ValueError: there are no priors, their number isn't the same for each feature, or an
                entry isn't a pair of positive sides.
        """
        if not len(sides):
            raise ValueError(
                "MODEL.YOLO.ANCHORS is empty, which fits the anchors to DATASETS.TRAIN when "
                "training starts. Elsewhere give them, or the config.yaml that training wrote."
            )
        if len(sides) % len(strides):
            raise ValueError(
                f"MODEL.YOLO.ANCHORS must be a multiple of the {len(strides)} features of "
                f"MODEL.YOLO.IN_FEATURES; got {len(sides)} anchors"
            )
        for pair in sides:
            if len(pair) != 2 or min(pair) <= 0:
                raise ValueError(
                    f"MODEL.YOLO.ANCHORS must be pairs of a positive width and height; got {pair}"
                )
        each = len(sides) // len(strides)
        levels = [sides[i : i + each] for i in range(0, len(sides), each)]
        super().__init__(sizes=levels, aspect_ratios=[[1.0]], strides=list(strides), offset=0.5)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Sequence[ShapeSpec]) -> dict[str, Any]:
        return {
            "sides": cfg.MODEL.YOLO.ANCHORS,
            "strides": [shape.stride for shape in input_shape],
        }

    def _calculate_anchors(self, sizes: Any, aspect_ratios: Any) -> BufferList:
        """For each feature (A, 4) XYXY centred on the origin; ``sizes`` are pairs (w, h) here."""
        halves = [torch.tensor(level, dtype=torch.float32) / 2 for level in sizes]
        return BufferList([torch.cat([-half, half], dim=1) for half in halves])
