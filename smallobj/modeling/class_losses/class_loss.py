"""What every classification loss of a box head has, and the plainest of them.

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
Classification losses of box heads, named by MODEL.ROI_BOX_HEAD.CLS_LOSS. Made as ``loss(cfg)``; a
ClassLoss.
"""


class ClassLoss(nn.Module):
    """A loss of K + 1 logits a region, and the probabilities that it makes of them.

    The two belong together: a loss that trains independent classes has scores of independent ones.
    Losses with a memory keep it in buffers, so that checkpoints hold it.
    """

    # What the bias of the logits begins with.
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
    """Softmax over classes and background, as Detectron2 has it."""

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits, classes)
