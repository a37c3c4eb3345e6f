"""Greedy non-maximum suppression."""

from __future__ import annotations

import torch
from detectron2.structures import Instances

from smallobj.merging.overlap import OverlapMerger, greedy_heads
from smallobj.merging.registry import MERGER_REGISTRY


@MERGER_REGISTRY.register(name="nms")
class NMSMerger(OverlapMerger):
    """Keeps the best box of each cluster unchanged and drops the others."""

    def merge(self, ranked: Instances) -> Instances:
        heads = greedy_heads(len(ranked), self.graph(ranked, self.overlap_threshold))
        return ranked[heads == torch.arange(len(ranked), device=heads.device)]
