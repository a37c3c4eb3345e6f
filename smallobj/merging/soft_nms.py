"""Soft-NMS: overlapping boxes lose score instead of being dropped."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Instances

from smallobj.checks import check_between, check_choice, check_positive
from smallobj.merging.overlap import OverlapGraph, OverlapMerger, where
from smallobj.merging.registry import MERGER_REGISTRY

DECAYS = ("gaussian", "linear")

# Logarithms of scores are whole multiples of this unit (held in float64, exact up to 2^53), so that
# decays add up to the same sum in any order and on any device.
_UNIT = 2.0**-44
# Logarithms are compared at a resolution of 2^16 units, 2^-28. That is finer than the spacing of
# float32, and products that are mathematically equal compare as equal.
_COMPARED = 2.0**16
# exp(-110) is 0 in float32.
_LOWEST_LOG = -110.0


@MERGER_REGISTRY.register(name="soft_nms")
class SoftNMSMerger(OverlapMerger):
    """Repeatedly emits the best remaining box and lowers the scores of the boxes that overlap it.

    Linear decay: s (1 - overlap) where the overlap exceeds the threshold. Gaussian decay:
    s exp(-overlap^2 / sigma) at any overlap. Of remaining boxes with equal scores, the one with the
    better original rank is emitted first. Source: arXiv 1704.04503, section 3.
    """

    @configurable
    def __init__(self, *, decay: str, sigma: float, score_threshold: float, **overlap: Any) -> None:
        """
        Args:
            decay: "gaussian" or "linear".
            sigma: sigma of the Gaussian decay, positive.
            score_threshold: boxes whose lowered score is below this are dropped.
            overlap: arguments of :class:`OverlapMerger`.
        """
        super().__init__(**overlap)
        check_choice(f"{self.key}.DECAY", decay, DECAYS)
        check_positive(f"{self.key}.SIGMA", sigma)
        check_between(f"{self.key}.SCORE_THRESH", score_threshold, 0, 1)
        self.decay = decay
        self.sigma = sigma
        self.score_threshold = score_threshold

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            **super().from_config(cfg),
            "decay": cfg.DECAY,
            "sigma": cfg.SIGMA,
            "score_threshold": cfg.SCORE_THRESH,
        }

    def merge(self, ranked: Instances) -> Instances:
        ranked = ranked[ranked.scores >= self.score_threshold]
        if self.decay == "linear":
            graph = self.graph(ranked, self.overlap_threshold)
            logs = torch.log1p(-graph.overlap)
        else:
            graph = self.graph(ranked, 0)
            logs = -graph.overlap.square() / self.sigma
        left = _decayed_scores(ranked.scores, graph, _fixed(logs), self.score_threshold)
        strong = left >= self.score_threshold
        merged = ranked[strong]
        merged.scores = left[strong]
        return merged


def _fixed(logs: torch.Tensor) -> torch.Tensor:
    """Logarithms as whole multiples of ``_UNIT`` (fixed point)."""
    return (logs.clamp(min=_LOWEST_LOG) / _UNIT).round()


def _decayed_scores(
    scores: torch.Tensor, graph: OverlapGraph, decays: torch.Tensor, threshold: float
) -> torch.Tensor:
    """The score that each box has when it is emitted.

    Each round emits every box that scores best among the remaining boxes that overlap it. Scores
    only fall, so the sequential algorithm would also emit this box before its neighbours.

    Args:
        scores: (N,) by falling score.
        graph: the pairs in which the better box lowers the score of the other.
        decays: (P,) logarithms of the factors, in multiples of ``_UNIT``.
        threshold: boxes whose score falls below it may be skipped; they can't lower the score of
            a box above it.

    Returns:
        (N,) with the dtype of ``scores``; values below the threshold are upper bounds.
    """
    start = _fixed(scores.double().log())
    now = start.clone()
    lowest = _fixed(scores.new_tensor([threshold], dtype=torch.float64).log())
    # Rounding must not drop a box whose score equals the threshold.
    lowest -= _COMPARED
    waiting = torch.ones_like(start, dtype=torch.bool)
    upper, lower, _ = graph
    while len(upper):
        level = (now / _COMPARED).floor()
        upper_wins = level.index_select(0, upper) >= level.index_select(0, lower)
        loser = torch.where(upper_wins, lower, upper)
        emitted = waiting.index_fill(0, loser, False)
        winner = upper + lower - loser
        lowered, loss = where(emitted.index_select(0, winner), loser, decays)
        now.index_add_(0, lowered, loss)
        waiting &= ~emitted & (now >= lowest)
        left = waiting.index_select(0, upper) & waiting.index_select(0, lower)
        upper, lower, decays = where(left, upper, lower, decays)
    return (scores.double() * torch.exp((now - start) * _UNIT)).to(scores.dtype)
