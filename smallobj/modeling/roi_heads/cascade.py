"""Cascade ROI head for small objects, on Detectron2's CascadeROIHeads.

Shapes: R regions an image, K classes, S stages; scores (R, K + 1), background last.
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

from smallobj.modeling.roi_heads.box_output import SmallObjectOutputLayers
from smallobj.modeling.roi_heads.context_pooler import ContextPooler

SCORINGS = ("own_roi", "rescore")


@ROI_HEADS_REGISTRY.register()
class SmallObjectCascadeROIHeads(CascadeROIHeads):
    """Cascade R-CNN (arXiv 1712.00726) with context, choice of losses, stage weights and scoring.

    The keys are described in :mod:`smallobj.config.model_keys`, under MODEL.ROI_BOX_HEAD and
    MODEL.ROI_BOX_CASCADE_HEAD. With their defaults this is Detectron2's cascade.
    """

    @configurable
    def __init__(self, *, stage_loss_weights: Sequence[float], scoring: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(stage_loss_weights) != self.num_cascade_stages:
            raise ValueError(
                "MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS needs one weight for each of the "
                f"{self.num_cascade_stages} stages; got {list(stage_loss_weights)}"
            )
        if scoring not in SCORINGS:
            raise ValueError(
                f"MODEL.ROI_BOX_CASCADE_HEAD.SCORING must be one of {SCORINGS}; got {scoring!r}"
            )
        self.stage_loss_weights = tuple(stage_loss_weights)
        self.scoring = scoring

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        head = cfg.MODEL.ROI_BOX_CASCADE_HEAD
        return {
            **super().from_config(cfg, input_shape),
            "stage_loss_weights": head.STAGE_LOSS_WEIGHTS,
            "scoring": head.SCORING,
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
        if cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE != 1:
            parts["box_pooler"] = ContextPooler(
                parts["box_pooler"],
                scale=cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE,
                fusion=cfg.MODEL.ROI_BOX_HEAD.CONTEXT_FUSION,
                channels=input_shape[parts["box_in_features"][0]].channels,
            )
        return parts

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
        if self.scoring == "rescore":
            return self._infer_rescored(features, proposals)
        return super()._forward_box(features, proposals)

    def _infer_rescored(
        self, features: dict[str, torch.Tensor], proposals: list[Instances]
    ) -> list[Instances]:
        """Boxes of the last stage; scores the mean over all stages on the last stage's input."""
        maps = [features[name] for name in self.box_in_features]
        image_sizes = [p.image_size for p in proposals]
        for stage in range(self.num_cascade_stages - 1):
            predictions = self._run_stage(maps, proposals, stage)
            boxes = self.box_predictor[stage].predict_boxes(predictions, proposals)
            proposals = self._create_proposals_from_boxes(boxes, image_sizes)
        scores_of_stages = []
        for stage, predictor in enumerate(self.box_predictor):
            predictions = self._run_stage(maps, proposals, stage)
            scores_of_stages.append(predictor.predict_probs(predictions, proposals))
        scores = [
            torch.stack(per_image).mean(0) for per_image in zip(*scores_of_stages, strict=True)
        ]
        instances, _ = fast_rcnn_inference(
            predictor.predict_boxes(predictions, proposals),
            scores,
            image_sizes,
            predictor.test_score_thresh,
            predictor.test_nms_thresh,
            predictor.test_topk_per_image,
        )
        return instances
