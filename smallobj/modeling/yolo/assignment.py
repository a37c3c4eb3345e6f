"""Assignment of priors to objects (arXiv 1804.02767, section 2.1).

Shape legend. M: objects of an image. A: priors per cell. R: priors of an image, ordered by feature,
then row by row, then, within a cell, as in the config.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.structures import Boxes, pairwise_iou


def assign_priors(
    boxes: torch.Tensor,
    shapes: Sequence[torch.Tensor],
    strides: Sequence[int],
    grids: Sequence[tuple[int, int]],
) -> torch.Tensor:
    """Assigns one prior to each object: the best of all shapes, in the cell with its centre.

    Args:
        boxes: (M, 4) XYXY, objects.
        shapes: for each feature (A, 4) XYXY, its priors centred on the origin.
        strides: stride of each feature.
        grids: (h, w) of each feature.

    Returns:
        (M,) int64 indices into the R priors. Two objects may have the same prior.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    centred = boxes - centres.repeat(1, 2)
    best = pairwise_iou(Boxes(centred), Boxes(torch.cat(list(shapes)))).argmax(dim=1)
    assigned = torch.zeros_like(best)
    first_shape, first_prior = 0, 0
    for shape, stride, (height, width) in zip(shapes, strides, grids, strict=True):
        count = len(shape)
        here = (best >= first_shape) & (best < first_shape + count)
        column, row = (centres / stride).long().unbind(dim=1)
        # A centre on the right or bottom border of the input belongs to the last cell.
        cell = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
        prior = first_prior + cell * count + best - first_shape
        assigned = torch.where(here, prior, assigned)
        first_shape += count
        first_prior += height * width * count
    return assigned


def last_of_each(assigned: torch.Tensor, priors: int) -> torch.Tensor:
    """The last object of each prior, which owns the prior as in the authors' program.

    Args:
        assigned: (M,), from :func:`assign_priors`.
        priors: R.

    Returns:
        (M,) bool, true if the object is the only or the last one with its prior.

    >>> last_of_each(torch.tensor([5, 2, 5]), priors=8)
    tensor([False,  True,  True])
    """
    order = torch.arange(len(assigned), device=assigned.device)
    # Not by plain assignment: on a GPU it is undefined which of several values it keeps.
    owner = order.new_full((priors,), -1).scatter_reduce(0, assigned, order, "amax")
    return owner[assigned] == order
