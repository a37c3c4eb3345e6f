"""Boxes of one image ranked by score, and who overlaps whom: what all mergers start from.

N boxes, P pairs. ``upper`` and ``lower`` are ranks, 0 the best score; upper < lower in each pair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Instances

from smallobj.checks import check_between, check_choice, check_positive
from smallobj.geometry import boxes
from smallobj.geometry.boxes import overlapping_pair_chunks, paired_overlap, where

METRICS = ("iou", "ios", "nwd")


class OverlapGraph(NamedTuple):
    """Pairs of boxes that overlap.

    Attributes:
        upper: (P,) int64, the better ranked box of each pair.
        lower: (P,) int64, the other one.
        overlap: (P,) float64 in (0, 1].
    """

    upper: torch.Tensor
    lower: torch.Tensor
    overlap: torch.Tensor

    def where(self, chosen: torch.Tensor) -> OverlapGraph:
        """The pairs for which ``chosen``, (P,) bool, is true."""
        return OverlapGraph(*where(chosen, *self))


class OverlapMerger:
    """Base of mergers that relate boxes by their overlap, within a class or across all.

    Boxes that share no area never influence one another, so an image may be merged in parts, as
    long as no part cuts a connected component of overlapping boxes.
    """

    @configurable
    def __init__(
        self,
        *,
        overlap_threshold: float,
        class_agnostic: bool,
        metric: str = "iou",
        nwd_constant: float = 12.8,
        key: str = "TEST.MERGER",
    ) -> None:
        """
        Args:
            overlap_threshold: boxes that overlap by more than this are one object, in [0, 1].
            class_agnostic: relate boxes of different classes too.
            metric: as :func:`smallobj.geometry.boxes.paired_overlap`.
            nwd_constant: C of the metric "nwd", in pixels.
            key: what messages call the merger's config node.

        Raises:
            ValueError: a value out of range.
        """
        check_between(f"{key}.OVERLAP_THRESH", overlap_threshold, 0, 1)
        check_choice(f"{key}.METRIC", metric, METRICS)
        check_positive("MODEL.NWD_CONSTANT", nwd_constant)
        self.key = key
        self.overlap_threshold = overlap_threshold
        self.class_agnostic = class_agnostic
        self.metric = metric
        self.nwd_constant = nwd_constant

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """
        Args:
            cfg: the merger's own node, like TEST.MERGER. The other arguments that a merger is made
                with go to the constructor as they are.
        """
        return {
            "overlap_threshold": cfg.OVERLAP_THRESH,
            "class_agnostic": cfg.CLASS_AGNOSTIC,
            "metric": cfg.METRIC,
        }

    def __call__(self, instances: Instances) -> Instances:
        """
        Args:
            instances: pred_boxes, scores, pred_classes and any other fields, in the image frame.

        Returns:
            Merged ones by falling score; equal scores in the order of the input.
        """
        if not len(instances):
            return instances
        merged = self.merge(by_falling_score(instances))
        return by_falling_score(merged)

    def merge(self, ranked: Instances) -> Instances:
        """Merges N > 0 instances, ranked by falling score; what comes back is ranked again."""
        raise NotImplementedError

    def graph(self, ranked: Instances, threshold: float) -> OverlapGraph:
        """Pairs that overlap by more than ``threshold``, of one class unless class-agnostic."""
        found = ranked.pred_boxes.tensor
        # In float32 an exact tie with the threshold can fall either way.
        exact = found.double()
        pieces = []
        groups = None if self.class_agnostic else ranked.pred_classes
        for upper, lower in overlapping_pair_chunks(found, groups):
            overlap = self.overlap(exact.index_select(0, upper), exact.index_select(0, lower))
            piece = OverlapGraph(upper, lower, overlap)
            pieces.append(piece.where(piece.overlap > threshold) if threshold > 0 else piece)
        return OverlapGraph(*(torch.cat(column) for column in zip(*pieces, strict=True)))

    def overlap(self, boxes1: torch.Tensor, boxes2: torch.Tensor) -> torch.Tensor:
        """(P,) overlap of each box with the one beside it, by the merger's metric."""
        return paired_overlap(boxes1, boxes2, self.metric, self.nwd_constant)


def by_falling_score(instances: Instances) -> Instances:
    return instances[instances.scores.argsort(descending=True, stable=True)]


def greedy_heads(count: int, graph: OverlapGraph) -> torch.Tensor:
    """:func:`smallobj.geometry.boxes.greedy_heads` with the pairs of ``graph``."""
    return boxes.greedy_heads(count, graph.upper, graph.lower)
