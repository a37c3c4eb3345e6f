"""Box predictor with the losses that small objects may need.

Shapes: R regions, K classes; logits (R, K + 1), background last.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cat
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Instances
from torch.nn import functional as F

from smallobj.boxes import wasserstein_similarity

CLS_LOSSES = ("cross_entropy", "focal")
BOX_LOSSES = ("smooth_l1", "giou", "diou", "ciou", "nwd")


def softmax_focal_loss(logits: torch.Tensor, classes: torch.Tensor, gamma: float) -> torch.Tensor:
    """Mean over regions of -(1 - p)^gamma log p, p the softmax probability of the true class.

    Source: arXiv 1708.02002, equation 4, with softmax in the sigmoid's place.

    Args:
        logits: (R, K + 1).
        classes: (R,) int64, K for background.
        gamma: 0 gives cross entropy.
    """
    if classes.numel() == 0:
        return logits.sum() * 0
    log_p = F.log_softmax(logits, dim=1).gather(1, classes[:, None])[:, 0]
    # Below gamma = 1 the power has no finite slope at p = 1, and training would end in NaN.
    doubt = (-torch.expm1(log_p)).clamp(min=1e-6)
    return -(doubt**gamma * log_p).mean()


class SmallObjectOutputLayers(FastRCNNOutputLayers):
    """Detectron2's box predictor with further class and box losses."""

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        cls_loss: str,
        focal_gamma: float,
        nwd_constant: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, **kwargs)
        if cls_loss not in CLS_LOSSES:
            raise ValueError(
                f"MODEL.ROI_BOX_HEAD.CLS_LOSS must be one of {CLS_LOSSES}; got {cls_loss!r}"
            )
        if focal_gamma < 0:
            raise ValueError(f"MODEL.ROI_BOX_HEAD.FOCAL_GAMMA is at least 0; got {focal_gamma}")
        if self.box_reg_loss_type not in BOX_LOSSES:
            raise ValueError(
                f"MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE must be one of {BOX_LOSSES}; "
                f"got {self.box_reg_loss_type!r}"
            )
        if nwd_constant <= 0:
            raise ValueError(f"MODEL.ROI_BOX_HEAD.NWD_CONSTANT is positive; got {nwd_constant}")
        self.cls_loss = cls_loss
        self.focal_gamma = focal_gamma
        self.nwd_constant = nwd_constant

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        head = cfg.MODEL.ROI_BOX_HEAD
        return {
            **super().from_config(cfg, input_shape),
            "cls_loss": head.CLS_LOSS,
            "focal_gamma": head.FOCAL_GAMMA,
            "nwd_constant": head.NWD_CONSTANT,
        }

    def losses(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """As :meth:`FastRCNNOutputLayers.losses`: {"loss_cls", "loss_box_reg"}."""
        losses = super().losses(predictions, proposals)
        if self.cls_loss == "focal" and proposals:
            classes = cat([p.gt_classes for p in proposals], dim=0)
            focal = softmax_focal_loss(predictions[0], classes, self.focal_gamma)
            losses["loss_cls"] = focal * self.loss_weight.get("loss_cls", 1.0)
        return losses

    def box_reg_loss(
        self,
        proposal_boxes: torch.Tensor,
        gt_boxes: torch.Tensor,
        pred_deltas: torch.Tensor,
        gt_classes: torch.Tensor,
        *args: Any,
    ) -> torch.Tensor:
        """As the base class, and "nwd": 1 - exp(-W2 / C), summed over foreground, divided by R."""
        if self.box_reg_loss_type != "nwd":
            return super().box_reg_loss(proposal_boxes, gt_boxes, pred_deltas, gt_classes, *args)
        foreground = ((gt_classes >= 0) & (gt_classes < self.num_classes)).nonzero()[:, 0]
        deltas = pred_deltas[foreground]
        if pred_deltas.shape[1] != 4:  # one regressor a class
            index = torch.arange(len(foreground), device=deltas.device)
            deltas = deltas.view(-1, self.num_classes, 4)[index, gt_classes[foreground]]
        boxes = self.box2box_transform.apply_deltas(deltas, proposal_boxes[foreground])
        similarity = wasserstein_similarity(boxes, gt_boxes[foreground], self.nwd_constant)
        return (1 - similarity).sum() / max(gt_classes.numel(), 1)
