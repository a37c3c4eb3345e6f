"""Hard negative mining: choosing the background anchors in the loss of a dense detector.

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
    """Chooses the background anchors of highest loss, ``ratio`` per positive anchor of each image.

    Of thousands of anchors only a few show an object. Without this choice the loss of the
    background would dominate. Source: arXiv 1512.02325, section 2.2, "hard negative mining".

    Args:
        loss: (N, R), classification loss of each anchor against its label.
        positive: (N, R) bool, anchors of objects.
        ratio: negatives per positive; 3 in the paper. The product is rounded up in each image.
        minimum: lowest number of negatives in an image; 0 in the paper, where images without
            objects don't contribute to training.
        eligible: (N, R) bool, anchors that may be chosen; None: all that are not positive.

    Returns:
        (N, R) bool, the chosen anchors; none of them is positive. Of equal losses the anchor of
        lower index is chosen.

    >>> loss = torch.tensor([[9.0, 1.0, 3.0, 2.0]])
    >>> hard_negatives(loss, torch.tensor([[True, False, False, False]]), ratio=2)
    tensor([[False, False,  True,  True]])
    """
    candidates = ~positive if eligible is None else eligible & ~positive
    wanted = (ratio * positive.sum(dim=1, keepdim=True)).ceil().clamp(min=minimum)
    # Stable, since a GPU might otherwise choose different anchors of equal loss in each run.
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
    """Cross entropy of positive anchors and of their hard negatives, per positive anchor.

    Where ``minimum`` gives more than ``ratio`` negatives per positive, the divisor is the number of
    positives that would belong to so many negatives. Otherwise the loss of a batch with only
    background would be a sum instead of a mean.

    Args:
        logits: (N, R, C + 1).
        classes: (N, R) int64.
        positive, ratio, minimum, eligible: as :func:`hard_negatives`.

    Returns:
        The loss and its divisor; scalars.
    """
    loss = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none")
    loss = loss.view_as(classes)
    negative = hard_negatives(loss, positive, ratio, minimum=minimum, eligible=eligible)
    share = negative.sum() / max(ratio, 1.0)
    count = torch.maximum(positive.sum().to(share), share).clamp(min=1)
    return loss[positive | negative].sum() / count, count
