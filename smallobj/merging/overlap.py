"""Boxes of one image ranked by score, and the pairs that overlap: the common part of all mergers.

N boxes, P pairs. ``upper`` and ``lower`` are ranks, 0 for the best score; upper < lower in each
pair.
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
        lower: (P,) int64, the other box.
        overlap: (P,) float64 in (0, 1].
    """

    upper: torch.Tensor
    lower: torch.Tensor
    overlap: torch.Tensor

    def where(self, chosen: torch.Tensor) -> OverlapGraph:
        """The pairs for which ``chosen``, (P,) bool, is true."""
        return OverlapGraph(*where(chosen, *self))


class OverlapMerger:
    """Base class of mergers that compare boxes by their overlap, within a class or across classes.

    Boxes that share no area never influence each other. So an image may be merged in parts, as
    long as every connected component of overlapping boxes lies in one part.
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
            class_agnostic: compare boxes of different classes too.
            metric: as in :func:`smallobj.geometry.boxes.paired_overlap`.
            nwd_constant: C of the metric "nwd", in pixels.
            key: name of the merger's config node, for error messages.

        Raises:
            ValueError: a value is out of range.
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
            cfg: the merger's own node, such as TEST.MERGER. All other arguments of the constructor
                are passed to it unchanged.
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
            The merged instances by falling score; equal scores in the order of the input.
        """
        if not len(instances):
            return instances
        merged = self.merge(by_falling_score(instances))
        return by_falling_score(merged)

    def merge(self, ranked: Instances) -> Instances:
        """Merges N > 0 instances, ranked by falling score; the result may be in any order."""
        raise NotImplementedError

    def graph(self, ranked: Instances, threshold: float) -> OverlapGraph:
        """Pairs that overlap by more than ``threshold``, of one class unless class-agnostic."""
        ranked_boxes = ranked.pred_boxes.tensor
        # In float64: in float32, rounding decides whether an overlap that equals the threshold
        # exceeds it.
        exact = ranked_boxes.double()
        pieces = []
        groups = None if self.class_agnostic else ranked.pred_classes
        for upper, lower in overlapping_pair_chunks(ranked_boxes, groups):
            overlap = self.overlap(exact.index_select(0, upper), exact.index_select(0, lower))
            piece = OverlapGraph(upper, lower, overlap)
            pieces.append(piece.where(piece.overlap > threshold) if threshold > 0 else piece)
        return OverlapGraph(*(torch.cat(column) for column in zip(*pieces, strict=True)))

    def overlap(self, boxes1: torch.Tensor, boxes2: torch.Tensor) -> torch.Tensor:
        """(P,) overlap of each box in ``boxes1`` with the box in the same row of ``boxes2``."""
        return paired_overlap(boxes1, boxes2, self.metric, self.nwd_constant)


def by_falling_score(instances: Instances) -> Instances:
    return instances[instances.scores.argsort(descending=True, stable=True)]


def greedy_heads(count: int, graph: OverlapGraph) -> torch.Tensor:
    """:func:`smallobj.geometry.boxes.greedy_heads` for the pairs of ``graph``."""
    return boxes.greedy_heads(count, graph.upper, graph.lower)
