"""Which anchor stands for which object: SSD's rule.

Shapes: M ground truths, R anchors.
"""

from __future__ import annotations

import torch
from detectron2.modeling.matcher import Matcher

from smallobj.checks import check_between


class BipartiteMatcher(Matcher):
    """Each ground truth gets an anchor of its own; others go to what they overlap enough.

    First the pair of ground truth and anchor with the highest IoU is bound, then the highest of
    those that remain, and so on until each ground truth that meets a free anchor has one
    (arXiv 1512.02325, section 2.2; the Caffe release does it in this order). Then every other
    anchor whose IoU with some ground truth reaches the threshold goes to the one it overlaps most.
    Equal IoUs: the lower ground truth first, then the lower anchor.

    Detectron2's ``allow_low_quality_matches`` is another rule. It makes the best anchor of a ground
    truth positive, but leaves it to the ground truth that this anchor overlaps most, so that a
    small object beside a large one can go without any.
    """

    def __init__(self, threshold: float) -> None:
        """
        Args:
            threshold: lowest IoU of anchors beside the bound ones, in (0, 1].

        Raises:
            ValueError: another threshold.
        """
        check_between("the IoU threshold of matching", threshold, 0, 1, "(]")
        super().__init__([threshold], [0, 1])

    def __call__(self, match_quality_matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            match_quality_matrix: (M, R), IoU of each pair.

        Returns:
            (R,) int64, the ground truth of each anchor (any number where the label is 0), and (R,)
            int8 labels: 1 for an object, 0 for background.
        """
        matches, labels = super().__call__(match_quality_matrix)
        truths, anchors = bind(match_quality_matrix)
        matches[anchors] = truths
        labels[anchors] = 1
        return matches, labels


def bind(quality: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs each row with a column of its own, highest values first.

    Pairs that are the best of both their row and their column are those that the greedy order would
    come to whatever else it does, so all of them are bound at once; mostly one round is enough.

    Args:
        quality: (M, R); pairs of value 0 or less are never bound.

    Returns:
        (P,) rows and (P,) columns, P at most min(M, R).
    """
    free_rows = torch.arange(len(quality), device=quality.device)
    remaining = quality
    rows, columns = [free_rows[:0]], [free_rows[:0]]
    while remaining.numel():
        value, best = remaining.max(dim=1)
        # Of the rows that want a column, or would if they could, its best one gets it.
        mutual = remaining[:, best].max(dim=0).indices == torch.arange(
            len(best), device=best.device
        )
        bound = mutual & (value > 0)
        rows.append(free_rows[bound])
        columns.append(best[bound])
        left = (value > 0) & ~bound
        if not left.any():
            break
        free_rows, remaining = free_rows[left], remaining[left]
        remaining[:, best[bound]] = -1
    return torch.cat(rows), torch.cat(columns)
