"""Backbones from timm (an optional package, Apache-2.0), with FPN on top.

Shapes: a feature of stride s is (N, C, H / s, W / s).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, Backbone

from smallobj.modeling.backbone.pyramid import PathAggregationFPN, build_pyramid

_LEVELS = {4: "res2", 8: "res3", 16: "res4", 32: "res5"}


class TimmFeatures(Backbone):
    """Features of an untrained timm model, with the names of ResNet's features: res2 to res5."""

    def __init__(self, name: str, options: Sequence[str] = (), channels_in: int = 3) -> None:
        """
        Args:
            name: timm's name of the model.
            options: further arguments of timm.create_model, each "NAME=VALUE".
            channels_in: channels of the image.

        Raises:
            ValueError: timm is not installed, has no such model or refuses an option, or the model
                has no features of strides 4, 8, 16 and 32.
        """
        super().__init__()
        self.body = _create(name, {"in_chans": channels_in, **_arguments(options)})
        info = self.body.feature_info
        shapes = dict(zip(info.reduction(), info.channels(), strict=True))
        if not set(_LEVELS) <= set(shapes):
            raise ValueError(
                f"MODEL.TIMM.NAME must be a model with features of strides {sorted(_LEVELS)}; "
                f"{name!r} has {sorted(shapes)}"
            )
        self._strides = info.reduction()
        self._channels_last = "NHWC" in str(getattr(self.body, "output_fmt", ""))
        self._out_features = list(_LEVELS.values())
        self._out_feature_strides = {level: stride for stride, level in _LEVELS.items()}
        self._out_feature_channels = {level: shapes[stride] for stride, level in _LEVELS.items()}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of (N, 3, H, W); H and W multiples of 32."""
        features = self.body(x)
        if self._channels_last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        return {
            _LEVELS[stride]: feature
            for stride, feature in zip(self._strides, features, strict=True)
            if stride in _LEVELS
        }


def _arguments(options: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments from "NAME=VALUE"; a value that isn't a Python literal is a string."""
    arguments = {}
    for option in options:
        name, sign, value = option.partition("=")
        if not (name.isidentifier() and sign):
            raise ValueError(f'MODEL.TIMM.OPTIONS are each "NAME=VALUE"; got {option!r}')
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    return arguments


def _create(name: str, options: dict[str, Any]) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"MODEL.TIMM.NAME {name} needs the package timm ({error}): "
            "pip install -r requirements-timm.txt"
        ) from error
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('_')[0]}*")[:8]
        raise ValueError(f"MODEL.TIMM.NAME must be a model of timm, like {close}; got {name!r}")
    try:
        # Never pretrained: all detectors here train from scratch and download nothing.
        return timm.create_model(name, pretrained=False, features_only=True, **options)
    except (TypeError, RuntimeError, AssertionError) as error:
        raise ValueError(f"MODEL.TIMM.OPTIONS {options} don't suit {name}: {error}") from error


def _build(kind: type[FPN], cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    node = cfg.MODEL.TIMM
    features = TimmFeatures(node.NAME, node.OPTIONS, input_shape.channels)
    return build_pyramid(kind, cfg, features)


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """The timm model given by MODEL.TIMM, with FPN."""
    return _build(FPN, cfg, input_shape)


@BACKBONE_REGISTRY.register()
def build_timm_pafpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """The timm model given by MODEL.TIMM, with FPN and bottom-up path augmentation."""
    return _build(PathAggregationFPN, cfg, input_shape)
