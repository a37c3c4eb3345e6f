"""Darknet-53, the backbone of YOLOv3 (arXiv 1804.02767, section 2.4 and table 1).

Shape legend. N: images of a batch. (H, W): the padded input, multiples of 32. Stage i, counted from
1, gives "dark<i>": (N, 2^i C, H / 2^i, W / 2^i), C being the channels of the first convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import fvcore.nn.weight_init as weight_init
import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, FrozenBatchNorm2d, ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import nn

from smallobj.checks import check_some_of

STAGES = 5
_SLOPE = 0.1  # of the leaky ReLU for negative values, as in Darknet


def darknet_conv(inputs: int, outputs: int, kernel: int, norm: str, stride: int = 1) -> Conv2d:
    """Darknet's layer: convolution that keeps the size (at stride 1), normalisation, leaky ReLU."""
    convolution = Conv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        bias=not norm,
        norm=get_norm(norm, outputs),
        activation=nn.LeakyReLU(_SLOPE),
    )
    weight_init.c2_msra_fill(convolution)
    return convolution


class _Residual(nn.Module):
    """Residual block: a 1x1 convolution to half the channels and a 3x3 convolution back."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.reduce = darknet_conv(channels, channels // 2, 1, norm)
        self.expand = darknet_conv(channels // 2, channels, 3, norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.expand(self.reduce(x))


class Darknet(Backbone):
    """A 3x3 convolution and five stages, each a convolution of stride 2 and residual blocks."""

    @configurable
    def __init__(
        self,
        *,
        stem_channels: int,
        blocks: Sequence[int],
        norm: str,
        out_features: Sequence[str],
        freeze_at: int = 0,
        input_channels: int = 3,
    ) -> None:
        """
        Args:
            stem_channels: C, channels of the first convolution.
            blocks: number of residual blocks in each stage.
            norm: Detectron2's name of the normalisation.
            out_features: names of the output features, among dark1 to dark5.
            freeze_at: 1 freezes the first convolution, 2 also the first stage, and so on.
            input_channels: channels of the image.

        Raises:
            ValueError: there are not five stages, a feature is unknown, or the number of channels
                doesn't suit the normalisation.
        """
        super().__init__()
        names = [f"dark{stage}" for stage in range(1, STAGES + 1)]
        if len(blocks) != STAGES or min(blocks) < 0:
            raise ValueError(
                f"MODEL.DARKNET.BLOCKS needs five numbers from 0 on; got {list(blocks)}"
            )
        check_some_of("MODEL.DARKNET.OUT_FEATURES", out_features, names)
        multiple = 32 if norm == "GN" else 1
        if stem_channels < 1 or stem_channels % multiple:
            raise ValueError(
                f"MODEL.DARKNET.STEM_CHANNELS must be a positive multiple of {multiple} "
                f"with MODEL.DARKNET.NORM {norm!r}; got {stem_channels}"
            )
        self.stem = darknet_conv(input_channels, stem_channels, 3, norm)
        self.stages = nn.ModuleList()
        for stage, count in enumerate(blocks, start=1):
            channels = stem_channels * 2**stage
            downsample = darknet_conv(channels // 2, channels, 3, norm, stride=2)
            residuals = [_Residual(channels, norm) for _ in range(count)]
            self.stages.append(nn.Sequential(downsample, *residuals))
        self._names = names
        self._out_features = list(out_features)
        self._out_feature_channels = {n: stem_channels * 2 ** (i + 1) for i, n in enumerate(names)}
        self._out_feature_strides = {n: 2 ** (i + 1) for i, n in enumerate(names)}
        for part in [self.stem, *self.stages][:freeze_at]:
            for parameter in part.parameters():
                parameter.requires_grad = False
            FrozenBatchNorm2d.convert_frozen_batchnorm(part)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        node = cfg.MODEL.DARKNET
        return {
            "stem_channels": node.STEM_CHANNELS,
            "blocks": node.BLOCKS,
            "norm": node.NORM,
            "out_features": node.OUT_FEATURES,
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
            "input_channels": input_shape.channels or 3,
        }

    @property
    def size_divisibility(self) -> int:
        return 2**STAGES

    def darknet_order(self) -> list[Conv2d]:
        """The convolutions in the order of Darknet's weight files: that of the forward pass."""
        convolutions = [self.stem]
        for stage in self.stages:
            downsample, *residuals = cast(nn.Sequential, stage)
            convolutions.append(cast(Conv2d, downsample))
            for residual in cast(list[_Residual], residuals):
                convolutions += [residual.reduce, residual.expand]
        return convolutions

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, 3, H, W) -> the features in ``out_features``, by name."""
        x = self.stem(image)
        features = {}
        for name, stage in zip(self._names, self.stages, strict=True):
            x = stage(x)
            if name in self._out_features:
                features[name] = x
        return features


@BACKBONE_REGISTRY.register()
def build_darknet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Darknet:
    """Builds Darknet-53, or a smaller network, from the keys of MODEL.DARKNET."""
    return Darknet(cfg, input_shape)
