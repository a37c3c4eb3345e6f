"""Box voting, hard and soft."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Boxes, Instances

from smallobj.checks import check_between
from smallobj.merging.overlap import OverlapGraph, OverlapMerger, greedy_heads, where
from smallobj.merging.registry import MERGER_REGISTRY


@MERGER_REGISTRY.register(name="vote")
class VoteMerger(OverlapMerger):
    """Gives the best box of each cluster the cluster's mean place, weighted by scores.

    Score, class, mask and other fields stay the best box's. Source: arXiv 1505.01749, section 5.
    The paper weighs in all boxes that overlap a kept one; as in RefineDet's release, a box votes
    once here, for the best box that takes it.
    """

    def merge(self, ranked: Instances) -> Instances:
        return self._vote(ranked)[0]

    def _vote(self, ranked: Instances) -> tuple[Instances, torch.Tensor, OverlapGraph]:
        """Voted instances, and the heads (N,) and pairs that they come from."""
        graph = self.graph(ranked, self.overlap_threshold)
        heads = greedy_heads(len(ranked), graph)
        boxes = ranked.pred_boxes.tensor.double()
        weights = ranked.scores.double().clamp(min=1e-300)[:, None]  # scores of 0 weigh alike
        total = torch.zeros_like(weights).index_add_(0, heads, weights)
        place = torch.zeros_like(boxes).index_add_(0, heads, boxes * weights)
        # Multiplying and dividing would shake the last digit of a box alone.
        alone = torch.bincount(heads, minlength=len(heads))[:, None] == 1
        place = torch.where(alone, boxes, place / total)
        kept = heads == torch.arange(len(ranked), device=heads.device)
        voted = ranked[kept]
        voted.pred_boxes = Boxes(place[kept].to(ranked.pred_boxes.tensor.dtype))
        return voted, heads, graph


@MERGER_REGISTRY.register(name="soft_vote")
class SoftVoteMerger(VoteMerger):
    """Box voting that gives the voters back, at their score times (1 - overlap with the best).

    An object beside a better one, taken for the same, thus isn't lost. As in RefineDet's release
    (arXiv 1711.06897) for COCO.
    """

    @configurable
    def __init__(self, *, score_threshold: float, **overlap: Any) -> None:
        """
        Args:
            score_threshold: a voter with less than this left isn't given back.
            overlap: as :class:`OverlapMerger`.
        """
        super().__init__(**overlap)
        check_between(f"{self.key}.SCORE_THRESH", score_threshold, 0, 1)
        self.score_threshold = score_threshold

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {**super().from_config(cfg), "score_threshold": cfg.SCORE_THRESH}

    def merge(self, ranked: Instances) -> Instances:
        voted, heads, (upper, lower, overlap) = self._vote(ranked)
        voter, overlap = where(heads[lower] == upper, lower, overlap)
        # In order of rank, whatever the order of the pairs.
        voter, order = voter.sort()
        scores = ranked.scores[voter] * (1 - overlap[order]).to(ranked.scores.dtype)
        strong = scores >= self.score_threshold
        back = ranked[voter[strong]]
        back.scores = scores[strong]
        return Instances.cat([voted, back])
