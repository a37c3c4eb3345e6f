"""RPN that proposes nothing where there is nothing."""

from __future__ import annotations

import math
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.structures import Boxes, Instances


@PROPOSAL_GENERATOR_REGISTRY.register()
class SmallObjectRPN(RPN):
    """Detectron2's RPN, which at test time drops proposals that it doesn't believe in itself.

    Detectron2 hands on the best few hundred of every image, also of one that shows nothing; most
    tiles of a large photograph do, and the ROI heads would spend their time on them.
    """

    @configurable
    def __init__(self, *, score_thresh_test: float, **kwargs: Any) -> None:
        """
        Args:
            score_thresh_test: lowest objectness (probability) of a proposal at test time.
            kwargs: as Detectron2's RPN.

        Raises:
            ValueError: a threshold outside [0, 1).
        """
        super().__init__(**kwargs)
        if not 0 <= score_thresh_test < 1:
            raise ValueError(
                f"MODEL.RPN.SCORE_THRESH_TEST must lie in [0, 1); got {score_thresh_test}"
            )
        self.score_thresh_test = score_thresh_test

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        return {
            **super().from_config(cfg, input_shape),
            "score_thresh_test": cfg.MODEL.RPN.SCORE_THRESH_TEST,
        }

    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        proposals = super().predict_proposals(
            anchors, pred_objectness_logits, pred_anchor_deltas, image_sizes
        )
        if self.training or self.score_thresh_test == 0:
            return proposals
        least = math.log(self.score_thresh_test / (1 - self.score_thresh_test))
        return [found[found.objectness_logits >= least] for found in proposals]
