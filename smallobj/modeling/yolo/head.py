"""The head of YOLOv3: predictions on three features, each combined with the coarser one.

Shape legend. N: images of a batch. Feature l, finest first: (N, C_l, h_l, w_l). A: priors per cell.
K: classes. A prediction is (N, A (5 + K), h_l, w_l): for each prior t_x, t_y, t_w, t_h, objectness,
and a logit for each class.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec
from torch import nn
from torch.nn import functional as F

from smallobj.checks import check_between
from smallobj.modeling.backbone.darknet import darknet_conv

OBJECTNESS = 4  # index among a prior's numbers; the box's four come before, the classes behind


class _Scale(nn.Module):
    """The part of the head that works on one feature."""

    def __init__(self, inputs: int, coarser: int, width: int, outputs: int, norm: str) -> None:
        """
        Args:
            inputs: channels of the feature.
            coarser: width of the next coarser scale; 0 where there is none.
            width: channels of the output; half of the feature's, as in Darknet.
            outputs: channels of the prediction.
            norm: Detectron2's name of the normalisation.
        """
        super().__init__()
        from_coarser = coarser // 2
        self.lateral = darknet_conv(coarser, from_coarser, 1, norm) if coarser else None
        self.neck = nn.Sequential(
            darknet_conv(inputs + from_coarser, width, 1, norm),
            darknet_conv(width, 2 * width, 3, norm),
            darknet_conv(2 * width, width, 1, norm),
            darknet_conv(width, 2 * width, 3, norm),
            darknet_conv(2 * width, width, 1, norm),
        )
        self.widen = darknet_conv(width, 2 * width, 3, norm)
        self.predict = Conv2d(2 * width, outputs, 1)

    def forward(
        self, feature: torch.Tensor, coarser: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The input for the next finer scale, and the prediction."""
        if self.lateral is not None:
            upsampled = F.interpolate(self.lateral(coarser), scale_factor=2.0, mode="nearest")
            feature = torch.cat([upsampled, feature], dim=1)
        x = self.neck(feature)
        return x, self.predict(self.widen(x))

    def darknet_order(self) -> list[Conv2d]:
        first = [] if self.lateral is None else [self.lateral]
        return [*first, *self.neck, self.widen, self.predict]


class YOLOv3Head(nn.Module):
    """Three-scale head of arXiv 1804.02767, section 2.3."""

    @configurable
    def __init__(
        self,
        *,
        input_shape: Sequence[ShapeSpec],
        num_anchors: Sequence[int],
        num_classes: int,
        norm: str,
        prior_prob: float,
    ) -> None:
        """
        Args:
            input_shape: shapes of the features, finest first, each of half the next one's stride.
            num_anchors: number of priors per cell, for each feature.
            num_classes: K.
            norm: Detectron2's name of the normalisation.
            prior_prob: objectness before training.

        Raises:
            ValueError: the strides don't double, or the probability is outside (0, 1).
        """
        super().__init__()
        strides = [shape.stride for shape in input_shape]
        if any(2 * fine != coarse for fine, coarse in itertools.pairwise(strides)):
            raise ValueError(
                "MODEL.YOLO.IN_FEATURES must go from fine to coarse, each stride twice the last; "
                f"got strides {strides}"
            )
        check_between("MODEL.YOLO.PRIOR_PROB", prior_prob, 0, 1, "()")
        coarser = 0
        self.scales = nn.ModuleList()
        for shape, anchors in zip(input_shape[::-1], num_anchors[::-1], strict=True):
            outputs = anchors * (OBJECTNESS + 1 + num_classes)
            width = shape.channels // 2
            self.scales.append(_Scale(shape.channels, coarser, width, outputs, norm))
            coarser = width
        # Boxes start as their priors. If objectness started at 1/2, the background, with its
        # thousands of priors, would at first dominate the loss.
        for scale, anchors in zip(self._scales, num_anchors[::-1], strict=True):
            nn.init.normal_(scale.predict.weight, std=0.01)
            bias = torch.zeros(anchors, OBJECTNESS + 1 + num_classes)
            bias[:, OBJECTNESS] = -math.log((1 - prior_prob) / prior_prob)
            scale.predict.bias = nn.Parameter(bias.flatten())

    @classmethod
    def from_config(
        cls, cfg: CfgNode, input_shape: Sequence[ShapeSpec], num_anchors: Sequence[int]
    ) -> dict[str, Any]:
        return {
            "input_shape": input_shape,
            "num_anchors": num_anchors,
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "norm": cfg.MODEL.YOLO.NORM,
            "prior_prob": cfg.MODEL.YOLO.PRIOR_PROB,
        }

    @property
    def _scales(self) -> Iterator[_Scale]:
        """The coarsest first."""
        yield from cast(Iterable[_Scale], self.scales)

    def darknet_order(self) -> list[Conv2d]:
        """The convolutions in the order of Darknet's weight files: the coarsest scale first."""
        return [convolution for scale in self._scales for convolution in scale.darknet_order()]

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Features to predictions, both finest first."""
        predictions = []
        coarser = None
        for scale, feature in zip(self._scales, reversed(features), strict=True):
            coarser, prediction = scale(feature, coarser)
            predictions.append(prediction)
        return predictions[::-1]
