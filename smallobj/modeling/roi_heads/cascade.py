"""Cascade ROI head for small objects, on Detectron2's CascadeROIHeads.

Shapes: R regions per image, K classes, S stages; scores (R, K + 1), background last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Instances

from smallobj.checks import check_choice
from smallobj.modeling.roi_heads.box_output import SmallObjectOutputLayers
from smallobj.modeling.roi_heads.context_pooler import add_context

SCORINGS = ("own_roi", "rescore")


@ROI_HEADS_REGISTRY.register()
class SmallObjectCascadeROIHeads(CascadeROIHeads):
    """Cascade R-CNN (arXiv 1712.00726) with context, choice of losses, stage weights and scoring.

    The keys are described in :mod:`smallobj.config.model`, under MODEL.ROI_BOX_HEAD and
    MODEL.ROI_BOX_CASCADE_HEAD. With their defaults this is Detectron2's cascade.
    """

    @configurable
    def __init__(
        self,
        *,
        stage_loss_weights: Sequence[float],
        scoring: str,
        test_stages: Sequence[int],
        **kwargs: Any,
    ) -> None:
        """
        Args:
            stage_loss_weights: one per stage; empty weights all by 1.
            scoring: one of SCORINGS.
            test_stages: stages whose scores are averaged, counted from 1; empty takes all.
            kwargs: arguments of :class:`CascadeROIHeads`.
        """
        super().__init__(**kwargs)
        stages = range(1, self.num_cascade_stages + 1)
        if len(stage_loss_weights) not in (0, len(stages)):
            raise ValueError(
                "MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS needs one weight for each of the "
                f"{len(stages)} stages, or none for weights of 1; got {list(stage_loss_weights)}"
            )
        check_choice("MODEL.ROI_BOX_CASCADE_HEAD.SCORING", scoring, SCORINGS)
        if list(test_stages) != sorted(set(test_stages) & set(stages)):
            raise ValueError(
                "MODEL.ROI_BOX_CASCADE_HEAD.TEST_STAGES names stages from 1 to "
                f"{len(stages)}, rising; got {list(test_stages)}"
            )
        self.stage_loss_weights = tuple(stage_loss_weights) or (1.0,) * len(stages)
        self.scoring = scoring
        self.test_stages = tuple(stage - 1 for stage in test_stages or stages)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        _check_stages(cfg)
        head = cfg.MODEL.ROI_BOX_CASCADE_HEAD
        return {
            **super().from_config(cfg, input_shape),
            "stage_loss_weights": head.STAGE_LOSS_WEIGHTS,
            "scoring": head.SCORING,
            "test_stages": head.TEST_STAGES,
        }

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts = super()._init_box_head(cfg, input_shape)
        weights = cfg.MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS
        parts["box_predictors"] = [
            SmallObjectOutputLayers(
                cfg, head.output_shape, box2box_transform=Box2BoxTransform(weights=stage_weights)
            )
            for head, stage_weights in zip(parts["box_heads"], weights, strict=True)
        ]
        return add_context(cfg, input_shape, parts)

    def _forward_box(
        self,
        features: dict[str, torch.Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> dict[str, torch.Tensor] | list[Instances]:
        if self.training:
            losses = super()._forward_box(features, proposals, targets)
            return {
                name: loss * self.stage_loss_weights[int(name.rsplit("stage", 1)[1])]
                for name, loss in losses.items()
            }
        if self.scoring == "own_roi" and len(self.test_stages) == self.num_cascade_stages:
            return super()._forward_box(features, proposals)
        return self._infer(features, proposals)

    def _infer(
        self, features: dict[str, torch.Tensor], proposals: list[Instances]
    ) -> list[Instances]:
        """Boxes of the last test stage, with the mean of the scores of all test stages.

        With "own_roi" each stage scores its own input boxes; with "rescore" all stages score the
        input boxes of the last one.
        """
        maps = [features[name] for name in self.box_in_features]
        image_sizes = [p.image_size for p in proposals]
        boxes: Sequence[torch.Tensor] = []
        scores_of_stages = []
        for stage in range(self.test_stages[-1] + 1):
            if stage > 0:
                proposals = self._create_proposals_from_boxes(boxes, image_sizes)
            predictor = self.box_predictor[stage]
            predictions = self._run_stage(maps, proposals, stage)
            boxes = predictor.predict_boxes(predictions, proposals)
            if stage == self.test_stages[-1] or (
                stage in self.test_stages and self.scoring == "own_roi"
            ):
                scores_of_stages.append(predictor.predict_probs(predictions, proposals))
        if self.scoring == "rescore":
            for stage in self.test_stages[:-1]:
                predictions = self._run_stage(maps, proposals, stage)
                scores_of_stages.append(
                    self.box_predictor[stage].predict_probs(predictions, proposals)
                )
        scores = [
            torch.stack(per_image).mean(0) for per_image in zip(*scores_of_stages, strict=True)
        ]
        instances, _ = fast_rcnn_inference(
            boxes,
            scores,
            image_sizes,
            predictor.test_score_thresh,
            predictor.test_nms_thresh,
            predictor.test_topk_per_image,
        )
        return instances


def _check_stages(cfg: CfgNode) -> None:
    """Checks what Detectron2 only asserts, with messages that name the keys.

    Raises:
        ValueError: the keys of the stages don't agree.
    """
    head, first = cfg.MODEL.ROI_BOX_CASCADE_HEAD, list(cfg.MODEL.ROI_HEADS.IOU_THRESHOLDS)
    if not head.IOUS or len(head.IOUS) != len(head.BBOX_REG_WEIGHTS):
        raise ValueError(
            "MODEL.ROI_BOX_CASCADE_HEAD.IOUS and BBOX_REG_WEIGHTS need one entry a stage each; "
            f"got {len(head.IOUS)} ({list(head.IOUS)}) and {len(head.BBOX_REG_WEIGHTS)} "
            f"({list(head.BBOX_REG_WEIGHTS)})"
        )
    if first != [head.IOUS[0]]:
        raise ValueError(
            "the first of MODEL.ROI_BOX_CASCADE_HEAD.IOUS is the IoU by which proposals are "
            f"sampled, so MODEL.ROI_HEADS.IOU_THRESHOLDS must be [{head.IOUS[0]}]; got {first}"
        )
    if not cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG:
        raise ValueError(
            "a cascade hands one box a region to the next stage, so "
            "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG must be True; got False"
        )
