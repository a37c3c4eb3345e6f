"""Pooling a region together with its surroundings.

Shapes: R regions, C channels, P pooled side.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torch import nn

from smallobj.checks import check_at_least, check_choice
from smallobj.geometry.boxes import enlarge


class ContextPooler(nn.Module):
    """Wraps a pooler so that a region is pooled with its surroundings.

    A 12 px object alone gives the head little information; its surroundings help. Only the pooled
    region is enlarged: the boxes from which the head regresses stay the same.
    """

    def __init__(self, pooler: ROIPooler, *, scale: float, fusion: str, channels: int) -> None:
        """
        Args:
            pooler: pools (R, C, P, P) from feature maps and boxes.
            scale: side of the enlarged region over the side of the box, at least 1.
            fusion: "replace" pools the enlarged region only; "concat" pools both and mixes
                their 2C channels down to C.
            channels: C.

        Raises:
            ValueError: the fusion is unknown, or the scale is below 1.
        """
        super().__init__()
        check_at_least("MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", scale, 1)
        check_choice("MODEL.ROI_BOX_HEAD.CONTEXT_FUSION", fusion, ("replace", "concat"))
        self.pooler = pooler
        self.scale = scale
        self.mix: nn.Module | None = None
        if fusion == "concat":
            norm = get_norm("GN", channels)
            mix = Conv2d(2 * channels, channels, 1, bias=False, norm=norm, activation=torch.relu)
            nn.init.kaiming_normal_(mix.weight, mode="fan_out", nonlinearity="relu")
            self.mix = mix

    def forward(self, features: list[torch.Tensor], box_lists: list[Boxes]) -> torch.Tensor:
        """As :meth:`ROIPooler.forward`: returns (R, C, P, P)."""
        enlarged = [Boxes(enlarge(boxes.tensor, self.scale)) for boxes in box_lists]
        surroundings = self.pooler(features, enlarged)
        if self.mix is None or surroundings.numel() == 0:
            return surroundings
        return self.mix(torch.cat([self.pooler(features, box_lists), surroundings], dim=1))


def add_context(
    cfg: CfgNode, input_shape: dict[str, ShapeSpec], parts: dict[str, Any]
) -> dict[str, Any]:
    """Wraps the pooler among a box head's parts, if MODEL.ROI_BOX_HEAD.CONTEXT_SCALE isn't 1.

    Args:
        cfg: the config, of which MODEL.ROI_BOX_HEAD is read.
        input_shape: shapes of the feature maps.
        parts: the result of ``_init_box_head`` of a Detectron2 ROI head; changed in place.

    Returns:
        ``parts``.
    """
    head = cfg.MODEL.ROI_BOX_HEAD
    if head.CONTEXT_SCALE != 1:
        parts["box_pooler"] = ContextPooler(
            parts["box_pooler"],
            scale=head.CONTEXT_SCALE,
            fusion=head.CONTEXT_FUSION,
            channels=input_shape[parts["box_in_features"][0]].channels,
        )
    return parts
