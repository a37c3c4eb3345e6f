"""Which prior answers for which object (arXiv 1804.02767, section 2.1).

Shape legend. M: objects of an image. A: priors at a place. R: priors of an image, those of all
features in order, of each feature row by row, and at a place in the order of the config.
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
    """The one prior of each object: the best shape of all, in the cell that holds its centre.

    Args:
        boxes: (M, 4) XYXY, objects.
        shapes: for each feature (A, 4) XYXY, its priors around the origin.
        strides: of the features.
        grids: (h, w) of the features.

    Returns:
        (M,) int64 indices into the R priors. Two objects may have the same one.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    centred = boxes - centres.repeat(1, 2)
    best = pairwise_iou(Boxes(centred), Boxes(torch.cat(list(shapes)))).argmax(dim=1)
    found = torch.zeros_like(best)
    first_shape, first_prior = 0, 0
    for shape, stride, (height, width) in zip(shapes, strides, grids, strict=True):
        count = len(shape)
        here = (best >= first_shape) & (best < first_shape + count)
        column, row = (centres / stride).long().unbind(dim=1)
        # A centre on the far border of the input belongs to the last cell.
        cell = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
        found = torch.where(here, first_prior + cell * count + best - first_shape, found)
        first_shape += count
        first_prior += height * width * count
    return found


def last_of_each(assigned: torch.Tensor, priors: int) -> torch.Tensor:
    """Of objects with the same prior, the last one has it, as in the authors' program.

    Args:
        assigned: (M,), of :func:`assign_priors`.
        priors: R.

    Returns:
        (M,) bool, whether the object has its prior to itself or is the last one with it.
    """
    order = torch.arange(len(assigned), device=assigned.device)
    # Not by plain assignment, which on a GPU leaves open which of several values stays.
    owner = order.new_full((priors,), -1).scatter_reduce(0, assigned, order, "amax")
    return owner[assigned] == order
