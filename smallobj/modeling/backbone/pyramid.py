"""Feature pyramids for small objects, on Detectron2's FPN.

Shapes: level pL is (N, C, H / 2^L, W / 2^L).
"""

from __future__ import annotations

from typing import Any

import fvcore.nn.weight_init as weight_init
import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import build_resnet_backbone
from torch import nn
from torch.nn import functional as F


class FinestLevelFPN(FPN):
    """FPN that returns only its finest level.

    The output convolutions of the other levels are left out: they would only cost time, and
    parameters without a gradient stop training on several GPUs.
    """

    def __init__(self, bottom_up: Backbone, in_features: list[str], *args: Any, **kwargs: Any):
        """As :class:`FPN`, without a top block."""
        super().__init__(bottom_up, in_features, *args, **kwargs)
        finest, *others = self._out_features
        for level in others:
            setattr(self, f"fpn_output{level[1:]}", nn.Identity())
        # The base class also keeps them in a list, from coarse to fine.
        self.output_convs = [getattr(self, f"fpn_output{lv[1:]}") for lv in [*others[::-1], finest]]

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        finest = self._out_features[0]
        return {finest: super().forward(x)[finest]}

    def output_shape(self) -> dict[str, ShapeSpec]:
        finest = self._out_features[0]
        return {finest: super().output_shape()[finest]}


class PathAggregationFPN(FPN):
    """FPN with bottom-up path augmentation: few layers lie between fine and coarse levels.

    N2 is P2. Each N(i+1) is a 3x3 convolution of the sum of P(i+1) and a 3x3 convolution of stride
    2 of N(i). Every convolution is followed by the normalisation of the pyramid and a ReLU. The
    levels keep the names of FPN, so that all later layers stay the same, and weights trained with
    FPN fit all but the new layers. Source: arXiv 1803.01534, section 3.1.
    """

    def __init__(
        self,
        bottom_up: Backbone,
        in_features: list[str],
        out_channels: int,
        norm: str = "",
        top_block: Any = None,
        fuse_type: str = "sum",
    ) -> None:
        """As :class:`FPN`; the top block gets the coarsest of the new levels."""
        super().__init__(bottom_up, in_features, out_channels, norm, None, fuse_type)
        self.top: Any = top_block
        self._coarser = self._out_features[1:]
        for level in self._coarser:
            for name, stride in (("down", 2), ("aggregate", 1)):
                layer = Conv2d(
                    out_channels,
                    out_channels,
                    kernel_size=3,
                    stride=stride,
                    padding=1,
                    bias=norm == "",
                    norm=get_norm(norm, out_channels),
                    activation=F.relu,
                )
                weight_init.c2_msra_fill(layer)
                self.add_module(f"pan_{name}{level[1:]}", layer)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        levels = super().forward(x)
        finer = levels[self._out_features[0]]
        for level in self._coarser:
            down = getattr(self, f"pan_down{level[1:]}")(finer)
            finer = getattr(self, f"pan_aggregate{level[1:]}")(levels[level] + down)
            levels[level] = finer
        if self.top is not None:
            levels.update(zip(self._top_shapes(), self.top(finer), strict=True))
        return levels

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {**super().output_shape(), **self._top_shapes()}

    def _top_shapes(self) -> dict[str, ShapeSpec]:
        if self.top is None:
            return {}
        coarsest = super().output_shape()[self._out_features[-1]]
        first = int(self._out_features[-1][1:]) + 1
        return {
            f"p{first + i}": ShapeSpec(channels=coarsest.channels, stride=coarsest.stride << i + 1)
            for i in range(self.top.num_levels)
        }


def build_pyramid(kind: type[FPN], cfg: CfgNode, bottom_up: Backbone) -> FPN:
    """Builds a pyramid from the keys of MODEL.FPN, as :func:`build_resnet_fpn_backbone` does."""
    top = {} if kind is FinestLevelFPN else {"top_block": LastLevelMaxPool()}
    return kind(
        bottom_up,
        cfg.MODEL.FPN.IN_FEATURES,
        cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
        **top,
    )


@BACKBONE_REGISTRY.register()
def build_resnet_finest_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """ResNet and FPN with only the finest level as output; that is p2 if FPN starts at res2."""
    return build_pyramid(FinestLevelFPN, cfg, build_resnet_backbone(cfg, input_shape))


@BACKBONE_REGISTRY.register()
def build_resnet_pafpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """ResNet and FPN with bottom-up path augmentation."""
    return build_pyramid(PathAggregationFPN, cfg, build_resnet_backbone(cfg, input_shape))
