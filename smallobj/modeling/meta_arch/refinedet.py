"""RefineDet (arXiv 1711.06897), a single-shot detector that refines its anchors.

Shape legend. N: images of a batch. R: anchors of an image, over all levels. K: classes; class K is
background. Boxes are XYXY in pixels of the network's input. Sections are those of the paper.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import nn
from torch.nn import functional as F

from smallobj.checks import check_between, check_choice, check_positive
from smallobj.modeling.hard_negatives import mined_cross_entropy
from smallobj.modeling.meta_arch.refinedet_head import RefineDetHead
from smallobj.modeling.meta_arch.single_stage import MatchedAnchorsDetector

_SCOPES = ("class", "image")


class Predictions(NamedTuple):
    """The head's predictions for all anchors of a batch, or, without N, of one image.

    Attributes:
        arm_logits: (N, R, 2), logits of object and background.
        arm_deltas: (N, R, 4), relative to the anchors.
        odm_logits: (N, R, K + 1), logits of the classes and background.
        odm_deltas: (N, R, 4), relative to the refined anchors.
    """

    arm_logits: torch.Tensor
    arm_deltas: torch.Tensor
    odm_logits: torch.Tensor
    odm_deltas: torch.Tensor


@META_ARCH_REGISTRY.register()
class RefineDet(MatchedAnchorsDetector):
    """Detects objects in two dense steps.

    The anchor refinement module (ARM) separates objects from background and moves the anchors. The
    object detection module (ODM) classifies the moved anchors and moves them again. It doesn't get
    anchors that the ARM is sure are background.
    """

    key = "REFINEDET"

    @configurable
    def __init__(self, *, negative_confidence: float, test_topk_scope: str, **kwargs: Any) -> None:
        """
        Args:
            negative_confidence: theta of section 3, in (0, 1].
            test_topk_scope: ``test_topk_candidates`` is per "class" or per "image".
            kwargs: arguments of :class:`MatchedAnchorsDetector`; both steps use the same transform.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__(**kwargs)
        check_positive("MODEL.REFINEDET.NEGATIVE_RATIO", self.negative_ratio)
        check_between("MODEL.REFINEDET.NEGATIVE_CONFIDENCE", negative_confidence, 0, 1, "(]")
        check_choice("MODEL.REFINEDET.TOPK_SCOPE_TEST", test_topk_scope, _SCOPES)
        self.negative_confidence = negative_confidence
        self.test_topk_scope = test_topk_scope

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        node = cfg.MODEL.REFINEDET
        return {
            **super().from_config(cfg),
            "negative_confidence": node.NEGATIVE_CONFIDENCE,
            "test_topk_scope": node.TOPK_SCOPE_TEST,
        }

    @classmethod
    def build_head(
        cls, cfg: CfgNode, input_shape: list[ShapeSpec], num_anchors: list[int]
    ) -> nn.Module:
        if len(set(num_anchors)) != 1:
            raise ValueError(
                "MODEL.ANCHOR_GENERATOR needs the same number of anchors per position on each "
                f"level; got {num_anchors}"
            )
        return RefineDetHead(cfg, input_shape, num_anchors[0])

    def forward_training(
        self,
        images: ImageList,
        features: list[torch.Tensor],
        predictions: Any,
        gt_instances: list[Instances],
    ) -> dict[str, torch.Tensor]:
        anchors = Boxes.cat(self.anchor_generator(features)).tensor
        return self.losses(anchors, self._flatten(predictions), gt_instances)

    def _flatten(self, predictions: Any) -> Predictions:
        sizes = [2, 4, self.num_classes + 1, 4]
        by_level = self._transpose_dense_predictions(predictions, sizes)
        return Predictions(*(torch.cat(levels, dim=1) for levels in by_level))

    def losses(
        self, anchors: torch.Tensor, predicted: Predictions, gt_instances: list[Instances]
    ) -> dict[str, torch.Tensor]:
        """The losses of both modules, each per matched anchor (section 4, "Loss Function").

        Args:
            anchors: (R, 4).
            predicted: the predictions for N images.
            gt_instances: N, with gt_boxes and gt_classes.

        Returns:
            {"loss_arm_cls", "loss_arm_box", "loss_odm_cls", "loss_odm_box"}, scalars.
        """
        arm_logits, arm_deltas, odm_logits, odm_deltas = predicted
        regular = anchors.expand(len(gt_instances), -1, -1)
        refined = torch.stack([self.refine(anchors, deltas) for deltas in arm_deltas])
        everything = torch.ones_like(arm_logits[..., 0], dtype=torch.bool)
        kept = self.worth_a_look(arm_logits)
        classes, boxes = self._label(regular, gt_instances)
        arm_classes = (classes == self.num_classes).long()
        arm = self._step_losses(arm_logits, arm_deltas, regular, arm_classes, boxes, everything)
        classes, boxes = self._label(refined, gt_instances)
        odm = self._step_losses(odm_logits, odm_deltas, refined, classes, boxes, kept)
        storage = get_event_storage()
        storage.put_scalar("refinedet/matched_arm", (arm_classes == 0).sum() / len(classes))
        matched = kept & (classes < self.num_classes)
        storage.put_scalar("refinedet/matched_odm", matched.sum() / len(classes))
        storage.put_scalar("refinedet/kept_anchors", kept.float().mean())
        return {
            "loss_arm_cls": arm[0],
            "loss_arm_box": arm[1],
            "loss_odm_cls": odm[0],
            "loss_odm_box": odm[1],
        }

    @torch.no_grad()
    def refine(self, anchors: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
        """(R, 4) anchors moved by the (R, 4) deltas of the ARM, without gradients.

        With gradients, the ODM would train the ARM to place anchors where the ODM's own targets are
        small.
        """
        refined: torch.Tensor = self.box2box_transform.apply_deltas(deltas, anchors)
        return refined

    @torch.no_grad()
    def worth_a_look(self, arm_logits: torch.Tensor) -> torch.Tensor:
        """(..., 2) ARM logits to (...,) bool: true for the anchors that the ODM gets.

        Source: section 3, "Negative Anchor Filtering".
        """
        background = arm_logits.softmax(dim=-1)[..., 1]
        return background <= self.negative_confidence

    def _label(
        self, anchors: torch.Tensor, gt_instances: list[Instances]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Targets of the anchors (N, R, 4), which differ from image to image.

        Returns:
            Classes (N, R), and boxes (N, R, 4), which are arbitrary where the class is background.
        """
        by_image = [
            self.label_anchors([Boxes(anchors_of_image)], [truth])
            for anchors_of_image, truth in zip(anchors, gt_instances, strict=True)
        ]
        classes = torch.stack([classes[0] for classes, _ in by_image])
        return classes, torch.stack([boxes[0] for _, boxes in by_image])

    def _step_losses(
        self,
        logits: torch.Tensor,
        deltas: torch.Tensor,
        anchors: torch.Tensor,
        classes: torch.Tensor,
        boxes: torch.Tensor,
        usable: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Classification and regression loss of one step.

        Args:
            logits: (N, R, C + 1); class C is background.
            deltas, anchors: (N, R, 4).
            classes, boxes: (N, R) and (N, R, 4), the targets of the anchors.
            usable: (N, R) bool; other anchors don't count in the losses.
        """
        positive = usable & (classes < logits.shape[-1] - 1)
        entropy, _ = mined_cross_entropy(
            logits,
            classes,
            positive,
            self.negative_ratio,
            minimum=self.min_negatives,
            eligible=usable,
        )
        targets = self.box2box_transform.get_deltas(anchors[positive], boxes[positive])
        distance = F.smooth_l1_loss(deltas[positive], targets, reduction="sum")
        return entropy, distance / positive.sum().clamp(min=1)

    def forward_inference(
        self, images: ImageList, features: list[torch.Tensor], predictions: Any
    ) -> list[Instances]:
        anchors = Boxes.cat(self.anchor_generator(features)).tensor
        by_image = zip(*self._flatten(predictions), strict=True)
        return [
            self.inference_single_image(anchors, Predictions(*predicted), image_size)
            for predicted, image_size in zip(by_image, images.image_sizes, strict=True)
        ]

    def inference_single_image(
        self, anchors: torch.Tensor, predicted: Predictions, image_size: tuple[int, int]
    ) -> Instances:
        """
        Args:
            anchors: (R, 4).
            predicted: the predictions for one image.
            image_size: (h, w).

        Returns:
            Instances with pred_boxes, scores and pred_classes, by falling score.
        """
        kept = self.worth_a_look(predicted.arm_logits)
        refined = self.refine(anchors[kept], predicted.arm_deltas[kept])
        boxes = self.box2box_transform.apply_deltas(predicted.odm_deltas[kept], refined)
        scores = predicted.odm_logits[kept].softmax(dim=-1)[:, :-1]
        anchor, category = self._candidates(scores)
        candidates = Instances(image_size)
        candidates.pred_boxes = Boxes(boxes[anchor])
        candidates.scores = scores[anchor, category]
        candidates.pred_classes = category
        return self.suppressed(candidates)

    def _candidates(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Anchor and class of each candidate for NMS, chosen by the scores (R, K)."""
        most = self.test_topk_candidates
        if self.test_topk_scope == "class":
            best, anchor = scores.topk(min(most, len(scores)), dim=0)
            category = torch.arange(scores.shape[1], device=scores.device).expand_as(anchor)
        else:
            best, index = scores.flatten().topk(min(most, scores.numel()))
            anchor, category = index // scores.shape[1], index % scores.shape[1]
        good = best > self.test_score_thresh
        return anchor[good], category[good]
