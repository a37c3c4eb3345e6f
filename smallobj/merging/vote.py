"""Box voting: a kept box is moved to the mean of the boxes that it stands for."""

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
    """Gives the best box of each cluster the mean coordinates of the cluster, weighted by scores.

    Score, class, mask and other fields are those of the best box. Source: arXiv 1505.01749,
    section 5. In the paper, every box that overlaps a kept box votes for it. Here, as in the
    release of RefineDet, a box votes only once, for the best of the kept boxes that it overlaps.
    """

    def merge(self, ranked: Instances) -> Instances:
        return self._vote(ranked)[0]

    def _vote(self, ranked: Instances) -> tuple[Instances, torch.Tensor, OverlapGraph]:
        """The voted instances, the head of each box (N,), and the overlapping pairs."""
        graph = self.graph(ranked, self.overlap_threshold)
        heads = greedy_heads(len(ranked), graph)
        boxes = ranked.pred_boxes.tensor.double()
        weights = ranked.scores.double().clamp(min=1e-300)[
            :, None
        ]  # boxes of score 0 weigh equally
        total = torch.zeros_like(weights).index_add_(0, heads, weights)
        place = torch.zeros_like(boxes).index_add_(0, heads, boxes * weights)
        # A cluster of one box keeps its coordinates: multiplying and dividing would round them.
        alone = torch.bincount(heads, minlength=len(heads))[:, None] == 1
        place = torch.where(alone, boxes, place / total)
        kept = heads == torch.arange(len(ranked), device=heads.device)
        voted = ranked[kept]
        voted.pred_boxes = Boxes(place[kept].to(ranked.pred_boxes.tensor.dtype))
        return voted, heads, graph


@MERGER_REGISTRY.register(name="soft_vote")
class SoftVoteMerger(VoteMerger):
    """Box voting that also returns the voters, with score times (1 - overlap with the best box).

    So an object isn't lost when it was merged with a better scored neighbour by mistake. As in the
    release of RefineDet (arXiv 1711.06897) for COCO.
    """

    @configurable
    def __init__(self, *, score_threshold: float, **overlap: Any) -> None:
        """
        Args:
            score_threshold: voters whose lowered score is below this are dropped.
            overlap: arguments of :class:`OverlapMerger`.
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
        # By rank, so that the result doesn't depend on the order of the pairs.
        voter, order = voter.sort()
        scores = ranked.scores[voter] * (1 - overlap[order]).to(ranked.scores.dtype)
        strong = scores >= self.score_threshold
        back = ranked[voter[strong]]
        back.scores = scores[strong]
        return Instances.cat([voted, back])
