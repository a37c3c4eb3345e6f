"""Weighted boxes fusion."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Boxes, Instances

from smallobj.checks import check_choice
from smallobj.merging.overlap import OverlapGraph, OverlapMerger, where
from smallobj.merging.registry import MERGER_REGISTRY

WBF_SCORES = ("mean", "max")


@MERGER_REGISTRY.register(name="wbf")
class WBFMerger(OverlapMerger):
    """Fuses each cluster into its mean box, weighted by scores.

    Boxes are taken by falling score. Each box joins the cluster whose *fused* box it overlaps most,
    if by more than the threshold, and the fused box moves accordingly; otherwise it founds a new
    cluster. Class, mask and other fields are those of the best box. Two differences from the paper
    (arXiv 1910.13302, section 3):

    - The score isn't lowered for models (here tiles) without a box, since most tiles don't show the
      object at all.
    - A box joins a cluster only if it also overlaps one of the boxes in it by more than half the
      threshold, since a fused box may cover an area that none of its boxes covers.
    """

    @configurable
    def __init__(self, *, wbf_score: str, **overlap: Any) -> None:
        """
        Args:
            wbf_score: score of a fused box, "mean" or "max" of the scores in its cluster.
            overlap: arguments of :class:`OverlapMerger`.
        """
        super().__init__(**overlap)
        check_choice(f"{self.key}.WBF_SCORE", wbf_score, WBF_SCORES)
        self.wbf_score = wbf_score

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {**super().from_config(cfg), "wbf_score": cfg.WBF_SCORE}

    def merge(self, ranked: Instances) -> Instances:
        boxes, scores = ranked.pred_boxes.tensor.double(), ranked.scores.double()
        heads, fused = self._fuse(boxes, scores, self.graph(ranked, self.overlap_threshold / 2))
        kept = heads == torch.arange(len(heads), device=heads.device)
        merged = ranked[kept]
        merged.pred_boxes = Boxes(fused[kept].to(ranked.pred_boxes.tensor.dtype))
        members = torch.bincount(heads, minlength=len(heads))[kept]
        if self.wbf_score == "mean":
            total = torch.zeros_like(scores).index_add_(0, heads, scores)
            fused_scores = self.rescore(total[kept] / members, members)
        else:
            fused_scores = scores[kept]
        merged.scores = fused_scores.to(ranked.scores.dtype)
        return merged

    def rescore(self, means: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
        """Scores (F,) of F fused boxes from the mean scores (F,) and numbers of boxes (F,)."""
        return means

    def _fuse(
        self, boxes: torch.Tensor, scores: torch.Tensor, graph: OverlapGraph
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Assigns all boxes to clusters, in rounds that give the result of the sequential rule.

        A box is decided once all its better ranked neighbours are decided and it is the best
        undecided box of each cluster that it may join: no other box could move these clusters
        before its turn.

        Args:
            boxes, scores: (N, 4) and (N,) float64, by falling score.
            graph: the pairs in which the lower box may join the cluster of the upper one.

        Returns:
            (N,) int64 the founder of each box's cluster; (N, 4) fused boxes, in the founders' rows.
        """
        count = len(boxes)
        everyone = torch.arange(count, device=boxes.device)
        upper, lower, _ = graph
        heads = everyone.index_fill(0, lower, count)  # count: undecided
        none = torch.full_like(heads, count)
        weights = scores.clamp(min=1e-300)[:, None]  # boxes of score 0 weigh equally
        weighted = torch.cat([boxes * weights, weights], dim=1)
        sums, fused = weighted.clone(), boxes.clone()
        while len(upper):
            cluster = heads.index_select(0, upper)
            first = none.new_full([count + 1], count).scatter_reduce_(0, cluster, lower, "amin")
            too_early = (cluster == count) | (first.index_select(0, cluster) != lower)
            [blocked] = where(too_early, lower)
            ready = (heads == count).index_fill(0, blocked, False)

            box, candidate = where(ready.index_select(0, lower), lower, cluster)
            overlap = self.overlap(fused.index_select(0, candidate), boxes.index_select(0, box))
            box, candidate, overlap = where(
                overlap > self.overlap_threshold, box, candidate, overlap
            )
            most = torch.zeros_like(scores).scatter_reduce_(0, box, overlap, "amax")
            # Of equally good clusters, the oldest one: its founder has the best rank.
            box, candidate = where(overlap == most.index_select(0, box), box, candidate)
            joined = none.scatter_reduce(0, box, candidate, "amin")
            heads = torch.where(ready, torch.minimum(joined, everyone), heads)

            # No index occurs twice in ``into``: at most one box joins a given cluster in a round.
            member, into = where(joined < count, everyone, joined)
            moved = sums.index_select(0, into) + weighted.index_select(0, member)
            sums[into] = moved
            fused[into] = moved[:, :4] / moved[:, 4:]
            upper, lower = where(heads.index_select(0, lower) == count, upper, lower)
        return heads, fused
