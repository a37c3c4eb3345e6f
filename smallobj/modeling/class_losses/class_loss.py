"""Base class of classification losses of box heads, and the simplest loss, cross entropy.

Shapes: R regions, K classes; logits (R, K + 1), background last.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import cross_entropy
from torch import nn
from torch.nn import functional as F

from smallobj.registry import NamedRegistry

CLASS_LOSS_REGISTRY = NamedRegistry("CLASS_LOSS")
CLASS_LOSS_REGISTRY.__doc__ = """
Classification losses of box heads, chosen by MODEL.ROI_BOX_HEAD.CLS_LOSS. An entry is called as
``loss(cfg)`` and returns a ClassLoss.
"""


class ClassLoss(nn.Module):
    """A classification loss of regions with K + 1 logits each, and the scores from these logits.

    The two belong together: a loss that trains independent classes needs scores of independent
    classes. A loss with a state keeps it in buffers, so that checkpoints contain it.
    """

    # Initial value of the bias of the logits.
    initial_bias = 0.0

    @configurable
    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {}

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """The loss, a mean over regions; 0 with gradients of 0 where there are none.

        Args:
            logits: (R, K + 1).
            classes: (R,) int64, K for background.
        """
        raise NotImplementedError

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """(R, K + 1) scores in [0, 1] of logits (R, K + 1)."""
        return F.softmax(logits, dim=-1)


@CLASS_LOSS_REGISTRY.register(name="cross_entropy")
class CrossEntropyLoss(ClassLoss):
    """Cross entropy with softmax over classes and background, as in Detectron2."""

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits, classes)
