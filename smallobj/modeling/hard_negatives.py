"""Choosing the background on which a dense detector with softmax learns.

Shapes: N images, R anchors, C + 1 classes with background.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


@torch.no_grad()
def hard_negatives(
    loss: torch.Tensor,
    positive: torch.Tensor,
    ratio: float,
    *,
    minimum: int = 0,
    eligible: torch.Tensor | None = None,
) -> torch.Tensor:
    """The background anchors of highest loss, so many for each positive one of the same image.

    Of thousands of anchors a handful show an object; without a choice their loss would drown in
    that of the background. Source: arXiv 1512.02325, section 2.2, "hard negative mining".

    Args:
        loss: (N, R), classification loss of each anchor against its label.
        positive: (N, R) bool, anchors of objects.
        ratio: negatives for each positive; 3 in the paper. A fraction is rounded up in each image.
        minimum: negatives of an image with fewer positives; 0 in the paper, by which an image
            without objects teaches nothing.
        eligible: (N, R) bool, anchors that may be chosen; None: all that are not positive.

    Returns:
        (N, R) bool, never both chosen and positive. Of equal losses the lower anchor is chosen.
    """
    candidates = ~positive if eligible is None else eligible & ~positive
    wanted = (ratio * positive.sum(dim=1, keepdim=True)).ceil().clamp(min=minimum)
    # Stable, or a GPU would choose others among equals at each run.
    order = loss.masked_fill(~candidates, -torch.inf).sort(dim=1, descending=True, stable=True)[1]
    rank = torch.empty_like(order)
    rank.scatter_(1, order, torch.arange(loss.shape[1], device=loss.device).expand_as(order))
    return candidates & (rank < wanted)


def mined_cross_entropy(
    logits: torch.Tensor,
    classes: torch.Tensor,
    positive: torch.Tensor,
    ratio: float,
    *,
    minimum: int = 0,
    eligible: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of objects and of their hard negatives, for each object's anchor.

    Negatives beyond ``ratio`` for each positive, which only ``minimum`` brings, count as if they
    had their share of positives: batches of mere background would else be summed up and not
    averaged.

    Args:
        logits: (N, R, C + 1).
        classes: (N, R) int64.
        positive, ratio, minimum, eligible: as :func:`hard_negatives`.

    Returns:
        The loss, and the number of positives that it was divided by; scalars.
    """
    loss = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none")
    loss = loss.view_as(classes)
    negative = hard_negatives(loss, positive, ratio, minimum=minimum, eligible=eligible)
    share = negative.sum() / max(ratio, 1.0)
    count = torch.maximum(positive.sum().to(share), share).clamp(min=1)
    return loss[positive | negative].sum() / count, count
