"""Integral loss: classifiers for several IoU thresholds, side by side on the same proposals.

Shapes: R regions, K classes, U thresholds; logits (U, R, K + 1), background last.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.structures import Instances
from detectron2.structures.boxes import matched_pairwise_iou
from torch import nn

from smallobj.checks import check_choice
from smallobj.modeling.roi_heads.box_output import SmallObjectOutputLayers
from smallobj.modeling.roi_heads.standard import SmallObjectROIHeads

LOSS_REDUCTIONS = ("sum", "mean")


class IntegralOutputLayers(SmallObjectOutputLayers):
    """One classifier per threshold and a common regressor, on the features of one box head.

    ``cls_score`` is the classifier of the first threshold. With a single threshold this is
    SmallObjectOutputLayers.
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        ious: Sequence[float],
        loss_reduction: str = "sum",
        **kwargs: Any,
    ) -> None:
        """
        Args:
            input_shape: shape of a region's features.
            ious: U rising thresholds; a region is foreground for a classifier from its threshold
                on. Proposals are sampled by the first one, and the regressor learns from it.
            loss_reduction: one of LOSS_REDUCTIONS, for the losses of the classifiers.
            kwargs: arguments of :class:`SmallObjectOutputLayers`.

        Raises:
            ValueError: the thresholds don't rise or aren't in (0, 1), or the reduction is unknown.
        """
        super().__init__(input_shape, **kwargs)
        if not ious or list(ious) != sorted(set(ious)) or not all(0 < u < 1 for u in ious):
            raise ValueError(
                "MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS are thresholds between 0 and 1, each higher than "
                f"the one before; got {list(ious)}"
            )
        check_choice("MODEL.ROI_BOX_INTEGRAL_HEAD.LOSS_REDUCTION", loss_reduction, LOSS_REDUCTIONS)
        self.ious = tuple(ious)
        self.loss_share = 1 / len(ious) if loss_reduction == "mean" else 1.0
        # One loss per classifier: a loss with a state sees different labels at each threshold.
        self.further_losses = nn.ModuleList(copy.deepcopy(self.class_loss) for _ in ious[1:])
        self.further_scores = nn.ModuleList(copy.deepcopy(self.cls_score) for _ in ious[1:])
        for layer in self.further_scores:
            # As in the base class. Copies of ``cls_score`` would all start from the same weights.
            nn.init.normal_(layer.get_parameter("weight"), std=0.01)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        ious, first = cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS, list(cfg.MODEL.ROI_HEADS.IOU_THRESHOLDS)
        if ious and first != list(ious[:1]):
            raise ValueError(
                "the first of MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS is the IoU by which proposals are "
                f"sampled, so MODEL.ROI_HEADS.IOU_THRESHOLDS must be {list(ious[:1])}; got {first}"
            )
        return {
            **super().from_config(cfg, input_shape),
            "ious": ious,
            "loss_reduction": cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.LOSS_REDUCTION,
        }

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(U, R, K + 1) logits and (R, 4) or (R, 4 K) deltas from features (R, ...)."""
        x = x.flatten(start_dim=1)
        scores, deltas = super().forward(x)
        return torch.stack([scores, *(layer(x) for layer in self.further_scores)]), deltas

    def losses(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """The base class's losses for the first threshold; "loss_cls_iou55" etc. for the others."""
        logits, deltas = predictions
        losses = super().losses((logits[0], deltas), proposals)
        classes = torch.cat([p.gt_classes for p in proposals])
        ious = torch.cat([_iou_with_truth(p) for p in proposals])
        further = zip(self.ious[1:], logits[1:], self.further_losses, strict=True)
        for threshold, scores, class_loss in further:
            labels = torch.where(ious >= threshold, classes, self.num_classes)
            name = f"loss_cls_iou{100 * threshold:g}"
            losses[name] = self.weighted_class_loss(class_loss, scores, labels)
        return losses

    def weighted_class_loss(
        self, class_loss: nn.Module, logits: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        return self.loss_share * super().weighted_class_loss(class_loss, logits, classes)

    def predict_probs(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> tuple[torch.Tensor, ...]:
        """Scores of each image's regions, (R of that image, K + 1): means over the classifiers."""
        pairs = zip([self.class_loss, *self.further_losses], predictions[0], strict=True)
        scores = torch.stack([loss.probabilities(logits) for loss, logits in pairs]).mean(dim=0)
        return scores.split([len(p) for p in proposals])


def _iou_with_truth(proposals: Instances) -> torch.Tensor:
    """(R,) IoU of each sampled proposal with its matched object.

    That is the object of highest IoU, so this IoU determines the label at higher thresholds.
    """
    if not proposals.has("gt_boxes"):  # an image without objects
        return proposals.proposal_boxes.tensor.new_zeros(len(proposals))
    return matched_pairwise_iou(proposals.proposal_boxes, proposals.gt_boxes)


@ROI_HEADS_REGISTRY.register()
class IntegralLossROIHeads(SmallObjectROIHeads):
    """Integral loss, which the Cascade R-CNN paper compares with (arXiv 1712.00726, section 3.3).

    Proposals are sampled once, by the first of MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS. The losses of the
    classifiers are summed, as in that paper, or averaged, as in the origin of the method (arXiv
    1604.02135, section 3.3). Their scores are averaged.
    """

    box_output = IntegralOutputLayers
