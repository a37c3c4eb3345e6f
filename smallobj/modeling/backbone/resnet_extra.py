"""A ResNet with SSD's extra layers after its last stage.

Shapes: as in :class:`detectron2.modeling.ResNet`, followed by the maps of the extra layers.
"""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone, ResNet
from detectron2.modeling.backbone import build_resnet_backbone
from torch import nn

from smallobj.checks import check_choice
from smallobj.modeling.backbone.extra_layers import extra_layers


class ResNetWithExtraLayers(Backbone):
    """The features of a ResNet and of extra layers after its deepest feature."""

    def __init__(
        self, bottom_up: ResNet, layers: dict[str, nn.Module], shapes: dict[str, ShapeSpec]
    ):
        """
        Args:
            bottom_up: the ResNet.
            layers: layers from :func:`extra_layers`, with the ResNet's last feature as source.
            shapes: shapes of the outputs of ``layers``.
        """
        super().__init__()
        self.bottom_up = bottom_up
        self.extra = nn.ModuleDict(layers)
        self._shapes = {**bottom_up.output_shape(), **shapes}

    @property
    def size_divisibility(self) -> int:
        return self.bottom_up.size_divisibility

    def output_shape(self) -> dict[str, ShapeSpec]:
        return dict(self._shapes)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, 3, H, W) -> feature maps by name."""
        features = self.bottom_up(image)
        x = features[list(self.bottom_up.output_shape())[-1]]
        for name, layer in self.extra.items():
            x = features[name] = layer(x)
        return features


@BACKBONE_REGISTRY.register()
def build_resnet_extra_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNetWithExtraLayers:
    """Builds a ResNet (MODEL.RESNETS) with MODEL.BACKBONE.EXTRA_LAYERS after its last feature."""
    bottom_up = build_resnet_backbone(cfg, input_shape)
    stride = cfg.MODEL.RESNETS.RES4_STRIDE
    check_choice("MODEL.RESNETS.RES4_STRIDE", stride, (1, 2))
    if stride == 1:
        if not hasattr(bottom_up, "res4"):
            raise ValueError(
                "MODEL.RESNETS.RES4_STRIDE is 1, but MODEL.RESNETS.OUT_FEATURES needs no res4; got "
                f"{list(cfg.MODEL.RESNETS.OUT_FEATURES)}"
            )
        _keep_stride(bottom_up)
    source = list(bottom_up.output_shape().values())[-1]
    layers, shapes = extra_layers(cfg.MODEL.BACKBONE.EXTRA_LAYERS, source, cfg.MODEL.RESNETS.NORM)
    return ResNetWithExtraLayers(bottom_up, layers, shapes)


def _keep_stride(resnet: ResNet) -> None:
    """Sets the stride of res4's first block to 1, as in SSDs on a ResNet.

    Detectron2's builder has no key for this. The shapes of the weights stay the same.
    """
    for module in resnet.res4[0].modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    for name in ("res4", "res5"):
        if name in resnet._out_feature_strides:
            resnet._out_feature_strides[name] //= 2
