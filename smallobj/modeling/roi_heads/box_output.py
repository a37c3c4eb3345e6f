"""Box predictor with further class and box losses.

Shapes: R regions, K classes; logits (R, K + 1), background last.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Instances
from torch import nn

from smallobj.checks import check_choice, check_positive
from smallobj.geometry.boxes import wasserstein_similarity
from smallobj.modeling.class_losses import ClassLoss, build_class_loss

BOX_LOSSES = ("smooth_l1", "giou", "diou", "ciou", "nwd")


class SmallObjectOutputLayers(FastRCNNOutputLayers):
    """Detectron2's box predictor with further class and box losses."""

    @configurable
    def __init__(
        self, input_shape: ShapeSpec, *, class_loss: ClassLoss, nwd_constant: float, **kwargs: Any
    ) -> None:
        """
        Args:
            input_shape: shape of a region's features.
            class_loss: computes the loss and the scores from K + 1 logits.
            nwd_constant: C of the "nwd" box loss, in pixels.
            kwargs: arguments of :class:`FastRCNNOutputLayers`.
        """
        super().__init__(input_shape, **kwargs)
        check_choice("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", self.box_reg_loss_type, BOX_LOSSES)
        check_positive("MODEL.NWD_CONSTANT", nwd_constant)
        if getattr(self, "use_sigmoid_ce", False):
            raise ValueError(
                "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE is for Detectron2's own heads; here "
                "MODEL.ROI_BOX_HEAD.CLS_LOSS chooses the loss; got True"
            )
        self.class_loss = class_loss
        self.nwd_constant = nwd_constant
        nn.init.constant_(self.cls_score.bias, class_loss.initial_bias)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        return {
            **super().from_config(cfg, input_shape),
            "class_loss": build_class_loss(cfg),
            "nwd_constant": cfg.MODEL.NWD_CONSTANT,
        }

    def losses(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """As :meth:`FastRCNNOutputLayers.losses`: {"loss_cls", "loss_box_reg"}."""
        logits, deltas = predictions
        # The base class needs the likeliest class for its statistics.
        scores = self.class_loss.probabilities(logits.detach())
        losses = super().losses((scores, deltas), proposals)
        classes = torch.cat([p.gt_classes for p in proposals])
        losses["loss_cls"] = self.weighted_class_loss(self.class_loss, logits, classes)
        return losses

    def weighted_class_loss(
        self, class_loss: nn.Module, logits: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        return class_loss(logits, classes) * self.loss_weight.get("loss_cls", 1.0)

    def predict_probs(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> tuple[torch.Tensor, ...]:
        """Scores of the regions of each image: (R of that image, K + 1)."""
        scores = self.class_loss.probabilities(predictions[0])
        return scores.split([len(p) for p in proposals])

    def box_reg_loss(
        self,
        proposal_boxes: torch.Tensor,
        gt_boxes: torch.Tensor,
        pred_deltas: torch.Tensor,
        gt_classes: torch.Tensor,
        *args: Any,
    ) -> torch.Tensor:
        """Adds the loss "nwd": 1 - exp(-W2 / C), summed over foreground, divided by R."""
        if self.box_reg_loss_type != "nwd":
            return super().box_reg_loss(proposal_boxes, gt_boxes, pred_deltas, gt_classes, *args)
        foreground = ((gt_classes >= 0) & (gt_classes < self.num_classes)).nonzero()[:, 0]
        deltas = pred_deltas[foreground]
        if pred_deltas.shape[1] != 4:  # one regressor per class
            index = torch.arange(len(foreground), device=deltas.device)
            deltas = deltas.view(-1, self.num_classes, 4)[index, gt_classes[foreground]]
        boxes = self.box2box_transform.apply_deltas(deltas, proposal_boxes[foreground])
        similarity = wasserstein_similarity(boxes, gt_boxes[foreground], self.nwd_constant)
        return (1 - similarity).sum() / max(gt_classes.numel(), 1)
