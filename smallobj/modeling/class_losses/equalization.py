"""Equalization loss: objects of other classes don't lower the scores of rare classes.

Shapes: R regions, K classes; logits (R, K + 1), background last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from torch.nn import functional as F

from smallobj.checks import check_between
from smallobj.modeling.class_losses.class_loss import CLASS_LOSS_REGISTRY, ClassLoss


class EqualizationLoss(ClassLoss):
    """Base class of both forms in arXiv 2003.05176: finds where rare classes must be spared."""

    rare: torch.Tensor

    @configurable
    def __init__(
        self, *, num_classes: int, frequencies: Sequence[float], rare_below: float
    ) -> None:
        """
        Args:
            num_classes: K.
            frequencies: share of the training images that show each class, K numbers; empty for a
                model that won't be trained.
            rare_below: lambda; a class of lower frequency is rare.

        Raises:
            ValueError: there are not K frequencies, or a value is outside [0, 1].
        """
        super().__init__()
        if len(frequencies) not in (0, num_classes):
            raise ValueError(
                "MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES needs one number for each of the "
                f"{num_classes} classes; got {len(frequencies)}: {list(frequencies)}"
            )
        shares = {"CLASS_FREQUENCIES": list(frequencies), "EQUALIZATION_LAMBDA": [rare_below]}
        for key, values in shares.items():
            if not all(0 <= value <= 1 for value in values):
                raise ValueError(
                    f"MODEL.ROI_BOX_HEAD.{key} is a share of photographs, in [0, 1]; got {values}"
                )
        rare = torch.tensor(list(frequencies), dtype=torch.float64) < rare_below
        # Not in checkpoints, since it follows from the config.
        self.register_buffer("rare", rare, persistent=False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        head = cfg.MODEL.ROI_BOX_HEAD
        return {
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "frequencies": head.CLASS_FREQUENCIES,
            "rare_below": head.EQUALIZATION_LAMBDA,
        }

    def spared(self, classes: torch.Tensor) -> torch.Tensor:
        """E(r) T(f_j) (1 - y_j): true for foreground regions and rare classes other than their own.

        There the loss doesn't lower the score of the class. Background still lowers the scores of
        all classes, since nothing else would limit those of rare classes.

        Args:
            classes: (R,) int64, K for background.

        Returns:
            (R, K) bool.
        """
        if not len(self.rare):
            raise ValueError(
                "an equalization loss needs MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES, and it is empty: "
                "train_net.py counts them in DATASETS.TRAIN; otherwise give one number a class"
            )
        num_classes = len(self.rare)
        other = F.one_hot(classes, num_classes + 1)[:, :num_classes] == 0
        return other & self.rare & (classes < num_classes)[:, None]


@CLASS_LOSS_REGISTRY.register(name="equalization")
class SigmoidEqualizationLoss(EqualizationLoss):
    """Binary cross entropy of K independent classes, summed over the classes that aren't spared.

    Source: arXiv 2003.05176, section 3. The last logit is not used. The score of background is the
    probability that none of the independent classes is present.
    """

    # Scores start at 0.01. From 0.5 the loss of the first steps, a sum over K classes, would be
    # K log 2.
    initial_bias = -math.log(99)

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        spared = self.spared(classes)
        truth = F.one_hot(classes, logits.shape[1])[:, :-1].to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits[:, :-1], truth, reduction="none")
        loss = losses.masked_fill(spared, 0).sum() / max(len(logits), 1)
        # DistributedDataParallel needs every logit in the graph.
        return loss + logits[:, -1].sum() * 0

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        independent = logits[:, :-1]
        none = F.logsigmoid(-independent).sum(dim=1, keepdim=True).exp()
        return torch.cat([torch.sigmoid(independent), none], dim=1)


@CLASS_LOSS_REGISTRY.register(name="equalization_softmax")
class SoftmaxEqualizationLoss(EqualizationLoss):
    """Cross entropy whose softmax leaves out spared classes, each with a given probability.

    Source: arXiv 2003.05176, section 3, where it is for classification without background. Here
    background is a class of the softmax that is never spared.
    """

    @configurable
    def __init__(self, *, spare_probability: float, **kwargs: Any) -> None:
        """
        Args:
            spare_probability: gamma, the probability that beta is 1.

        Raises:
            ValueError: the probability is outside [0, 1].
        """
        super().__init__(**kwargs)
        check_between("MODEL.ROI_BOX_HEAD.EQUALIZATION_GAMMA", spare_probability, 0, 1)
        self.spare_probability = spare_probability

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        gamma = cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_GAMMA
        return {**super().from_config(cfg), "spare_probability": gamma}

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        spared = self.spared(classes)
        if not len(logits):
            return logits.sum() * 0
        beta = torch.rand(spared.shape, device=logits.device) < self.spare_probability
        spared = F.pad(spared & beta, (0, 1))  # background
        return F.cross_entropy(logits.masked_fill(spared, -math.inf), classes)
