"""Pairs of convolutions that SSD and RefineDet add to a classification network.

Shapes: N images; each pair maps (N, C, h, w) to (N, C', h', w') through a 1x1 convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from detectron2.layers import ShapeSpec, get_norm
from fvcore.nn import weight_init
from torch import nn
from torch.nn import functional as F

FIRST_NUMBER = 6  # the first layer is conv6_1, after five stages and fc6, fc7


def normalised(conv: Any, norm: str, width: float = 1.0) -> nn.Sequential:
    """A convolution, its normalisation and a ReLU; initialised for training from scratch.

    Args:
        conv: the convolution; its bias is removed if a normalisation follows.
        norm: Detectron2's name of the normalisation.
        width: width of the network. GN has 32 groups at width 1, as in Detectron2, and
            proportionally fewer in narrower networks. Otherwise a narrow network could have groups
            of a single value, which GN sets to 0.
    """
    groups = math.gcd(max(round(32 * width), 1), conv.out_channels)
    make: Any = partial(nn.GroupNorm, groups) if norm == "GN" else partial(get_norm, norm)
    layer = make(conv.out_channels)
    if layer is not None:
        conv.bias = None
    weight_init.c2_msra_fill(conv)
    return nn.Sequential(conv, *([] if layer is None else [layer]), nn.ReLU(inplace=True))


class UnpaddedConv2d(nn.Conv2d):
    """A convolution that pads maps smaller than its kernel with zeros, on the right and below.

    SSD300 ends with unpadded convolutions, for which a tile of less than 257 px is too small. For
    larger maps this is a normal convolution.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = [int(side) for side in self.padding]
        below = max(self.kernel_size[0] - x.shape[-2] - 2 * padding[0], 0)
        right = max(self.kernel_size[1] - x.shape[-1] - 2 * padding[1], 0)
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return super().forward(x)


def extra_layers(
    specs: Sequence[Sequence[int]], source: ShapeSpec, norm: str, width: float = 1.0
) -> tuple[dict[str, nn.Module], dict[str, ShapeSpec]]:
    """The layers in MODEL.BACKBONE.EXTRA_LAYERS, in order, and the shapes of their outputs.

    Args:
        specs: for each pair (channels of the 1x1 convolution, channels, kernel, stride, padding).
        source: shape of the input of the first pair.
        norm: Detectron2's name of the normalisation.
        width: factor on all channels.

    Raises:
        ValueError: an entry doesn't have five numbers, or one is out of range.
    """
    layers: dict[str, nn.Module] = {}
    shapes: dict[str, ShapeSpec] = {}
    channels, stride = source.channels, source.stride
    for number, spec in enumerate(specs, FIRST_NUMBER):
        if len(spec) != 5 or min(spec[:4]) < 1 or spec[4] < 0:
            raise ValueError(
                "MODEL.BACKBONE.EXTRA_LAYERS has entries (channels, channels, kernel, stride, "
                f"padding), the first four positive; got {list(spec)}"
            )
        reduced, outputs = (round(count * width) for count in spec[:2])
        kernel, step, padding = spec[2:]
        first = nn.Conv2d(channels, reduced, 1)
        second = UnpaddedConv2d(reduced, outputs, kernel, step, padding)
        layers[f"conv{number}_1"] = normalised(first, norm, width)
        layers[f"conv{number}_2"] = normalised(second, norm, width)
        shapes[f"conv{number}_1"] = ShapeSpec(channels=reduced, stride=stride)
        channels, stride = outputs, stride * step
        shapes[f"conv{number}_2"] = ShapeSpec(channels=channels, stride=stride)
    return layers, shapes
