"""RPN that proposes nothing where there is nothing."""

from __future__ import annotations

import math
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.structures import Boxes, Instances

# Boxes of a level that go into NMS for each one that may come out of it.
_CANDIDATES = 4


@PROPOSAL_GENERATOR_REGISTRY.register()
class SmallObjectRPN(RPN):
    """Detectron2's RPN, which at test time proposes no more than an input can hold.

    Detectron2 hands on the best few hundred of every image, also of one that is a hundred pixels
    wide, or shows nothing; the ROI heads would spend their time on them.
    """

    @configurable
    def __init__(
        self, *, score_thresh_test: float, pixels_per_proposal_test: int, **kwargs: Any
    ) -> None:
        """
        Args:
            score_thresh_test: lowest objectness (probability) of a proposal at test time.
            pixels_per_proposal_test: an image of so many pixels gets one proposal at test time,
                one of twice as many two; 0: no such limit.
            kwargs: as Detectron2's RPN.

        Raises:
            ValueError: a threshold outside [0, 1), or a negative number of pixels.
        """
        super().__init__(**kwargs)
        if not 0 <= score_thresh_test < 1:
            raise ValueError(
                f"MODEL.RPN.SCORE_THRESH_TEST must lie in [0, 1); got {score_thresh_test}"
            )
        if pixels_per_proposal_test < 0:
            raise ValueError(
                "MODEL.RPN.PIXELS_PER_PROPOSAL_TEST must not be negative; "
                f"got {pixels_per_proposal_test}"
            )
        self.score_thresh_test = score_thresh_test
        self.pixels_per_proposal_test = pixels_per_proposal_test

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        return {
            **super().from_config(cfg, input_shape),
            "score_thresh_test": cfg.MODEL.RPN.SCORE_THRESH_TEST,
            "pixels_per_proposal_test": cfg.MODEL.RPN.PIXELS_PER_PROPOSAL_TEST,
        }

    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        if self.training:
            return super().predict_proposals(
                anchors, pred_objectness_logits, pred_anchor_deltas, image_sizes
            )
        candidates, most = self._limits(image_sizes)
        with torch.no_grad():
            found = find_top_rpn_proposals(
                self._decode_proposals(anchors, pred_anchor_deltas),
                pred_objectness_logits,
                image_sizes,
                self.nms_thresh,
                candidates,
                most,
                self.min_box_size,
                False,
            )
        return [self._believable(proposals) for proposals in found]

    def _limits(self, image_sizes: list[tuple[int, int]]) -> tuple[int, int]:
        """Boxes of a level that go into NMS, and proposals that may come out of it."""
        candidates, most = self.pre_nms_topk[False], self.post_nms_topk[False]
        if not self.pixels_per_proposal_test:
            return candidates, most
        pixels = max(height * width for height, width in image_sizes)
        held = max(pixels // self.pixels_per_proposal_test, 1)
        return min(candidates, held * _CANDIDATES), min(most, held)

    def _believable(self, proposals: Instances) -> Instances:
        if not self.score_thresh_test:
            return proposals
        least = math.log(self.score_thresh_test / (1 - self.score_thresh_test))
        return proposals[proposals.objectness_logits >= least]
