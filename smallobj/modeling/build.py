"""A model from a config, with the arithmetic that the config asks for."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model as build_detectron2_model
from torch import nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def build_model(cfg: CfgNode) -> nn.Module:
    """Detectron2's ``build_model``, with MODEL.BACKBONE.PRECISION and the fastest memory layout.

    Raises:
        ValueError: MODEL.BACKBONE.PRECISION is unknown, or no number of classes is set.
    """
    name = cfg.MODEL.BACKBONE.PRECISION
    if name not in PRECISIONS:
        raise ValueError(
            f"MODEL.BACKBONE.PRECISION must be one of {list(PRECISIONS)}; got {name!r}"
        )
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES < 1:
        raise ValueError(
            "MODEL.ROI_HEADS.NUM_CLASSES is 0, so the number of classes has to come from a "
            "dataset, and none was read. Give the number, or the config.yaml that training wrote."
        )
    model = build_detectron2_model(cfg)
    run_backbone_in(model, PRECISIONS[name])
    return model


def run_backbone_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Makes ``model.backbone`` compute in ``dtype`` (autocast); what it returns is float32.

    Everything after the backbone, above all RoIAlign, which rounds box coordinates to the features'
    type, stays in float32. The image goes in channels-last, in which convolutions run 1.1 to 2
    times as fast, except when training on CPU: GroupNorm's backward pass is ten times slower there.
    """
    backbone: Any = model.backbone
    forward = backbone.forward

    def mixed_forward(image: torch.Tensor) -> dict[str, torch.Tensor]:
        if image.is_cuda or not torch.is_grad_enabled():
            image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, dtype=dtype, enabled=dtype != torch.float32):
            features = forward(image)
        return {level: feature.float() for level, feature in features.items()}

    backbone.forward = mixed_forward
