"""SSD's rule of matching anchors with ground truth.

Shapes: M ground truths, R anchors.
"""

from __future__ import annotations

import torch
from detectron2.modeling.matcher import Matcher

from smallobj.checks import check_between


class BipartiteMatcher(Matcher):
    """Gives each ground truth its own anchor, then all other anchors of high enough IoU.

    First, ground truths and anchors are bound in pairs: the pair of highest IoU, then the pair of
    highest IoU among the remaining ones, and so on, until each ground truth that overlaps a free
    anchor has one (arXiv 1512.02325, section 2.2; in this order in the Caffe release). Second,
    every other anchor whose IoU with some ground truth reaches the threshold is matched to the one
    that it overlaps most. Ties go to the ground truth of lower index, then to the anchor of lower
    index.

    Detectron2's ``allow_low_quality_matches`` is a different rule. It makes the best anchor of a
    ground truth positive, but matches it to the ground truth that this anchor overlaps most. So a
    small object beside a large one can be left without an anchor.
    """

    def __init__(self, threshold: float) -> None:
        """
        Args:
            threshold: lowest IoU of the anchors that are not bound in pairs, in (0, 1].

        Raises:
            ValueError: the threshold is outside (0, 1].
        """
        check_between("the IoU threshold of matching", threshold, 0, 1, "(]")
        super().__init__([threshold], [0, 1])

    def __call__(self, match_quality_matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            match_quality_matrix: (M, R), IoU of each pair.

        Returns:
            (R,) int64, the ground truth of each anchor (arbitrary where the label is 0), and (R,)
            int8 labels: 1 for an object, 0 for background.
        """
        matches, labels = super().__call__(match_quality_matrix)
        truths, anchors = bind(match_quality_matrix)
        matches[anchors] = truths
        labels[anchors] = 1
        return matches, labels


def bind(quality: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs each row with its own column, highest values first.

    The greedy order always reaches a pair that is the best of both its row and its column. So all
    these pairs are bound at once; usually one round is enough.

    Args:
        quality: (M, R); pairs of value 0 or less are never bound.

    Returns:
        (P,) rows and (P,) columns, P at most min(M, R).

    >>> bind(torch.tensor([[0.9, 0.4, 0.1], [0.8, 0.3, 0.2]]))
    (tensor([0, 1]), tensor([0, 1]))
    """
    free_rows = torch.arange(len(quality), device=quality.device)
    remaining = quality
    rows, columns = [free_rows[:0]], [free_rows[:0]]
    while remaining.numel():
        value, best = remaining.max(dim=1)
        # A column goes to its best row, provided that it is also the best column of this row.
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
