"""RefineDet's layers after the backbone: anchor refinement, transfer connections, detection.

Shape legend. N: images of a batch. L: levels, finest first. (h, w): positions of a level. A:
anchors per position. K: classes. The paper is arXiv 1711.06897.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import nn
from torch.nn import functional as F

from smallobj.modeling.backbone.extra_layers import normalised
from smallobj.modeling.backbone.l2_norm import L2Norm

_RELEASED_CHANNELS = 256  # of transfer connections, as released


def _block(conv: Any, norm: str, rectified: bool = True) -> nn.Sequential:
    """A convolution and its normalisation, and, if ``rectified``, a ReLU."""
    layers: Any = normalised(conv, norm, conv.out_channels / _RELEASED_CHANNELS)
    return layers if rectified else layers[:-1]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class TransferConnection(nn.Module):
    """Transfer connection block of section 3: converts ARM features of a level to ODM features.

    Two convolutions; then the result of the next coarser level, upsampled by 2 with a
    deconvolution, is added; then a third convolution. On the coarsest level nothing is added.
    """

    def __init__(self, inputs: int, channels: int, norm: str, coarsest: bool) -> None:
        """
        Args:
            inputs: channels of the level's ARM features.
            channels: channels of the output and of the coarser level's result.
            norm: Detectron2's name of the normalisation.
            coarsest: true if there is no coarser level.
        """
        super().__init__()
        self.first = _block(_convolution(inputs, channels), norm)
        self.second = _block(_convolution(channels, channels), norm, rectified=coarsest)
        self.last = _block(_convolution(channels, channels), norm)
        self.upsample: nn.Module | None = None
        if not coarsest:
            deconvolution = nn.ConvTranspose2d(channels, channels, 2, stride=2)
            self.upsample = _block(deconvolution, norm, rectified=False)

    def forward(self, x: torch.Tensor, coarser: torch.Tensor | None) -> torch.Tensor:
        """
        Args:
            x: (N, inputs, h, w).
            coarser: (N, channels, h / 2, w / 2), rounded up; None on the coarsest level.

        Returns:
            (N, channels, h, w).
        """
        x = self.second(self.first(x))
        if self.upsample is not None:
            # Where the size is odd, the upsampled map has one row or column more.
            x = F.relu(x + self.upsample(coarser)[..., : x.shape[-2], : x.shape[-1]])
        return self.last(x)


class RefineDetHead(nn.Module):
    """Anchor refinement module (ARM), transfer connections and object detection module (ODM).

    All are in one head, so that code that runs "the head" of a dense detector runs them all.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: Sequence[ShapeSpec],
        num_classes: int,
        num_anchors: int,
        channels: int,
        norm: str,
        l2_scales: Sequence[float],
    ) -> None:
        """
        Args:
            input_shape: L levels, finest first.
            num_classes: K, without background.
            num_anchors: A.
            channels: channels of the transfer connections.
            norm: Detectron2's name of the normalisation in the transfer connections.
            l2_scales: initial scale of the L2 normalisation of each level; 0: no normalisation.

        Raises:
            ValueError: the number of scales isn't L, a scale is negative, or a level doesn't halve
                the resolution of the one before.
        """
        super().__init__()
        if len(l2_scales) != len(input_shape) or min(l2_scales, default=0) < 0:
            raise ValueError(
                f"MODEL.REFINEDET.L2_SCALES needs {len(input_shape)} numbers, one for each of "
                f"IN_FEATURES, none negative; got {list(l2_scales)}"
            )
        strides: list[Any] = [shape.stride for shape in input_shape]
        if any(coarse != 2 * fine for fine, coarse in itertools.pairwise(strides)):
            raise ValueError(
                "MODEL.REFINEDET.IN_FEATURES must be features that halve the resolution from one "
                f"to the next, finest first; got strides {strides}"
            )
        widths: list[Any] = [shape.channels for shape in input_shape]
        self.norms = nn.ModuleList(
            L2Norm(width, scale) if scale else nn.Identity()
            for width, scale in zip(widths, l2_scales, strict=True)
        )
        self.arm_logits, self.arm_deltas = (
            _predictors(widths, num_anchors * size) for size in (2, 4)
        )
        self.transfers = nn.ModuleList(
            TransferConnection(width, channels, norm, coarsest=level == len(widths) - 1)
            for level, width in enumerate(widths)
        )
        self.odm_logits, self.odm_deltas = (
            _predictors([channels] * len(widths), num_anchors * size)
            for size in (num_classes + 1, 4)
        )

    @classmethod
    def from_config(
        cls, cfg: CfgNode, input_shape: Sequence[ShapeSpec], num_anchors: int
    ) -> dict[str, Any]:
        node = cfg.MODEL.REFINEDET
        return {
            "input_shape": input_shape,
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "num_anchors": num_anchors,
            "channels": node.TCB_CHANNELS,
            "norm": node.NORM,
            "l2_scales": node.L2_SCALES,
        }

    def forward(self, features: list[torch.Tensor]) -> tuple[list[torch.Tensor], ...]:
        """
        Args:
            features: L of (N, C, h, w), finest first, each half as high and wide as the one before,
                rounded up.

        Returns:
            arm_logits, of object and background: L of (N, A x 2, h, w);
            arm_deltas, relative to anchors: L of (N, A x 4, h, w);
            odm_logits, of the classes and background: L of (N, A x (K + 1), h, w);
            odm_deltas, relative to refined anchors: L of (N, A x 4, h, w).
        """
        features = [norm(x) for norm, x in zip(self.norms, features, strict=True)]
        transferred: list[torch.Tensor] = []
        coarser = None
        for transfer, x in zip(reversed(self.transfers), reversed(features), strict=True):
            coarser = transfer(x, coarser)
            transferred.insert(0, coarser)
        return (
            _predict(self.arm_logits, features),
            _predict(self.arm_deltas, features),
            _predict(self.odm_logits, transferred),
            _predict(self.odm_deltas, transferred),
        )


def _predictors(widths: list[int], outputs: int) -> nn.ModuleList:
    layers: list[Any] = [_convolution(width, outputs) for width in widths]
    for layer in layers:
        # Small, so that at first the ARM hardly moves the anchors that the ODM gets.
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    return nn.ModuleList(layers)


def _predict(predictors: nn.ModuleList, features: list[torch.Tensor]) -> list[torch.Tensor]:
    return [predictor(x) for predictor, x in zip(predictors, features, strict=True)]
