"""Iterative BBox: one box head, applied repeatedly to its own output boxes.

Shapes: R regions per image, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.structures import Instances

from smallobj.checks import check_at_least
from smallobj.modeling.roi_heads.standard import SmallObjectROIHeads


@ROI_HEADS_REGISTRY.register()
class IterativeBBoxROIHeads(SmallObjectROIHeads):
    """Iterative BBox, which the Cascade R-CNN paper compares with (arXiv 1712.00726, section 3.2).

    Training is that of SmallObjectROIHeads. At test time the head runs
    MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS times, each time with its previous boxes as proposals.
    Scores and boxes are those of the last run.
    """

    @configurable
    def __init__(self, *, iterations: int, **kwargs: Any) -> None:
        """
        Args:
            iterations: number of runs at test time, at least 1.
            kwargs: arguments of :class:`SmallObjectROIHeads`.
        """
        super().__init__(**kwargs)
        check_at_least("MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS", iterations, 1)
        self.iterations = iterations

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        if not cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG:
            raise ValueError(
                "IterativeBBoxROIHeads hands one box a region to the next round, so "
                "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG must be True; got False"
            )
        return {
            **super().from_config(cfg, input_shape),
            "iterations": cfg.MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS,
        }

    # As between two stages of a cascade: clips to the image and stops gradients.
    _create_proposals_from_boxes = CascadeROIHeads._create_proposals_from_boxes

    def _forward_box(
        self, features: dict[str, torch.Tensor], proposals: list[Instances]
    ) -> dict[str, torch.Tensor] | list[Instances]:
        if not self.training:
            maps = [features[name] for name in self.box_in_features]
            image_sizes = [p.image_size for p in proposals]
            for _ in range(self.iterations - 1):
                pooled = self.box_pooler(maps, [p.proposal_boxes for p in proposals])
                predictions = self.box_predictor(self.box_head(pooled))
                boxes = self.box_predictor.predict_boxes(predictions, proposals)
                proposals = self._create_proposals_from_boxes(boxes, image_sizes)
        return super()._forward_box(features, proposals)
