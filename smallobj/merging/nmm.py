"""Greedy non-maximum merging."""

from __future__ import annotations

import torch
from detectron2.structures import Boxes, Instances

from smallobj.merging.overlap import OverlapMerger, greedy_heads
from smallobj.merging.registry import MERGER_REGISTRY


@MERGER_REGISTRY.register(name="nmm")
class NMMMerger(OverlapMerger):
    """Gives the best box of each cluster the extent of the whole cluster.

    For objects that no tile shows whole. Score, class, mask and other fields are those of the best
    box, so a mask may be smaller than its box.
    """

    def merge(self, ranked: Instances) -> Instances:
        heads = greedy_heads(len(ranked), self.graph(ranked, self.overlap_threshold))
        boxes = ranked.pred_boxes.tensor
        index = heads[:, None].expand(-1, 2)
        low = boxes[:, :2].scatter_reduce(0, index, boxes[:, :2], "amin")
        high = boxes[:, 2:].scatter_reduce(0, index, boxes[:, 2:], "amax")
        kept = heads == torch.arange(len(ranked), device=heads.device)
        merged = ranked[kept]
        merged.pred_boxes = Boxes(torch.cat([low, high], dim=1)[kept])
        return merged
