"""VGG-16 as in SSD and RefineDet: fc6 and fc7 are convolutions, and extra layers follow.

Shape legend. N: images of a batch. (H, W): the padded image. Each feature map is (N, C, h, w), with
h = ceil(H / stride) where all layers before it are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from smallobj.checks import check_choice, check_some_of
from smallobj.modeling.backbone.extra_layers import extra_layers, normalised


class VGG16(Backbone):
    """VGG-16 (arXiv 1409.1556) with reduced fc6 and fc7 (arXiv 1412.7062, section 3.1).

    The 7x7 kernel of fc6 is reduced to a dilated 3x3 kernel, and the 4,096 channels of both layers
    to 1,024.

    Attributes:
        layers: all layers in order, by their names in the Caffe release.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int,
        out_features: Sequence[str],
        norm: str = "",
        width: float = 1.0,
        pool5_stride: int = 1,
        extra: Sequence[Sequence[int]] = (),
        size_divisibility: int = 0,
    ) -> None:
        """
        Args:
            in_channels: channels of the image.
            out_features: names of the maps to return; layers after the last of them are not built.
            norm: Detectron2's name of the normalisation after each convolution, "" for none.
            width: channels of each layer over those of VGG-16.
            pool5_stride: 1 or 2, see MODEL.VGG.POOL5_STRIDE.
            extra: see MODEL.BACKBONE.EXTRA_LAYERS.
            size_divisibility: see :class:`Backbone`.

        Raises:
            ValueError: a feature doesn't exist, the stride isn't 1 or 2, or the width leaves no
                channel.
        """
        super().__init__()
        check_choice("MODEL.VGG.POOL5_STRIDE", pool5_stride, (1, 2))
        if round(64 * width) < 1:
            raise ValueError(f"MODEL.VGG.WIDTH leaves no channel of 64; got {width}")
        layers, shapes = _stages(in_channels, norm, width)
        fc_layers, fc_shapes = _fully_convolutional(shapes["conv5_3"], norm, width, pool5_stride)
        more_layers, more_shapes = extra_layers(extra, fc_shapes["fc7"], norm, width)
        layers |= fc_layers | more_layers
        shapes |= fc_shapes | more_shapes
        check_some_of("MODEL.VGG.OUT_FEATURES", out_features, shapes)
        names = list(layers)
        last = max(names.index(name) for name in out_features)
        self.layers = nn.ModuleDict({name: layers[name] for name in names[: last + 1]})
        self._shapes = {name: shapes[name] for name in out_features}
        self._size_divisibility = size_divisibility

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        node = cfg.MODEL.VGG
        return {
            "in_channels": input_shape.channels,
            "out_features": node.OUT_FEATURES,
            "norm": node.NORM,
            "width": node.WIDTH,
            "pool5_stride": node.POOL5_STRIDE,
            "extra": cfg.MODEL.BACKBONE.EXTRA_LAYERS,
            "size_divisibility": node.SIZE_DIVISIBILITY,
        }

    @property
    def size_divisibility(self) -> int:
        return self._size_divisibility

    def output_shape(self) -> dict[str, ShapeSpec]:
        return dict(self._shapes)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, 3, H, W) -> feature maps by name, after their ReLU."""
        x, features = image, {}
        for name, layer in self.layers.items():
            x = layer(x)
            if name in self._shapes:
                features[name] = x
        return features


@BACKBONE_REGISTRY.register()
def build_vgg_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> VGG16:
    """Builds VGG-16 with random weights from the keys of MODEL.VGG."""
    return VGG16(cfg, input_shape)


def _stages(
    in_channels: int, norm: str, width: float
) -> tuple[dict[str, nn.Module], dict[str, ShapeSpec]]:
    """conv1_1 to conv5_3 from torchvision's VGG-16, and their shapes."""
    plan = [item if item == "M" else round(int(item) * width) for item in cfgs["D"]]
    layers: dict[str, nn.Module] = {}
    shapes: dict[str, ShapeSpec] = {}
    stage, number, stride = 1, 1, 1
    for layer in list(make_layers(plan, batch_norm=False))[:-1]:
        if isinstance(layer, nn.Conv2d):
            if not layers:
                layer = nn.Conv2d(in_channels, layer.out_channels, 3, padding=1)
            name = f"conv{stage}_{number}"
            layers[name] = normalised(layer, norm, width)
            shapes[name] = ShapeSpec(channels=layer.out_channels, stride=stride)
            number += 1
        elif isinstance(layer, nn.MaxPool2d):
            # As in Caffe, so that no border is cut off: 300 px are 38 cells of 8 px.
            layer.ceil_mode = True
            layers[f"pool{stage}"] = layer
            stage, number, stride = stage + 1, 1, stride * 2
    return layers, shapes


def _fully_convolutional(
    source: ShapeSpec, norm: str, width: float, pool5_stride: int
) -> tuple[dict[str, nn.Module], dict[str, ShapeSpec]]:
    """pool5, fc6 and fc7."""
    if pool5_stride == 1:
        pool, dilation = nn.MaxPool2d(3, stride=1, padding=1), 6
    else:
        pool, dilation = nn.MaxPool2d(2, stride=2, ceil_mode=True), 3
    channels = round(1024 * width)
    fc6 = nn.Conv2d(source.channels, channels, 3, padding=dilation, dilation=dilation)
    shape = ShapeSpec(channels=channels, stride=source.stride * pool5_stride)
    layers = {
        "pool5": pool,
        "fc6": normalised(fc6, norm, width),
        "fc7": normalised(nn.Conv2d(channels, channels, 1), norm, width),
    }
    return layers, {"fc6": shape, "fc7": shape}
