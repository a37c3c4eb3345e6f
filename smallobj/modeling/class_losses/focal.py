"""Focal loss with softmax.

Shapes: R regions, K classes; logits (R, K + 1), background last.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from torch.nn import functional as F

from smallobj.checks import check_not_negative
from smallobj.modeling.class_losses.class_loss import CLASS_LOSS_REGISTRY, ClassLoss


@CLASS_LOSS_REGISTRY.register(name="focal")
class SoftmaxFocalLoss(ClassLoss):
    """Mean over regions of -(1 - p)^gamma log p, p the softmax probability of the true class.

    Source: arXiv 1708.02002, equation 4, with softmax instead of the sigmoid.
    """

    @configurable
    def __init__(self, *, gamma: float) -> None:
        """
        Args:
            gamma: 0 gives cross entropy.

        Raises:
            ValueError: gamma is negative.
        """
        super().__init__()
        check_not_negative("MODEL.ROI_BOX_HEAD.FOCAL_GAMMA", gamma)
        self.gamma = gamma

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {"gamma": cfg.MODEL.ROI_BOX_HEAD.FOCAL_GAMMA}

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        if classes.numel() == 0:
            return logits.sum() * 0
        log_p = F.log_softmax(logits, dim=1).gather(1, classes[:, None])[:, 0]
        # For gamma < 1 the power has an infinite slope at p = 1, which would end in NaN.
        doubt = (-torch.expm1(log_p)).clamp(min=1e-6)
        return -(doubt**self.gamma * log_p).mean()
