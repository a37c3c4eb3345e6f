"""Box arithmetic that detectron2.structures lacks. Pure functions; boxes are XYXY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from detectron2.structures import BoxMode


def annotation_boxes(annotations: Sequence[dict[str, Any]]) -> np.ndarray:
    """XYXY boxes of a dataset dict's annotations in any box mode: (N, 4) float64, pixels."""
    # Converted as arrays: BoxMode converts lists with the precision of float32.
    boxes = [
        BoxMode.convert(np.array([a["bbox"]], np.float64), a["bbox_mode"], BoxMode.XYXY_ABS)
        for a in annotations
    ]
    return np.concatenate([np.zeros((0, 4)), *boxes])


def wasserstein_similarity(
    boxes1: torch.Tensor, boxes2: torch.Tensor, constant: float
) -> torch.Tensor:
    """Normalised Gaussian Wasserstein distance of pairs of boxes, exp(-W2 / C).

    Each box is modelled as a Gaussian with its mean at the box's centre and standard deviations of
    half the box's sides. W2 is the 2-Wasserstein distance of the two Gaussians. Unlike IoU, it has
    a gradient where the boxes do not overlap, and a shift by one pixel costs a small box no more
    than a large one. Source: arXiv 2110.13389, section 3.2.

    Args:
        boxes1, boxes2: (N, 4) XYXY in pixels.
        constant: C, in pixels.

    Returns:
        (N,) in (0, 1], 1 for equal boxes.
    """
    offset = (boxes1[:, :2] + boxes1[:, 2:] - boxes2[:, :2] - boxes2[:, 2:]) / 2
    scale = (boxes1[:, 2:] - boxes1[:, :2] - boxes2[:, 2:] + boxes2[:, :2]) / 2
    squared = offset.square().sum(dim=1) + scale.square().sum(dim=1)
    # The gradient of the square root is infinite at 0.
    return torch.exp(-torch.sqrt(squared + 1e-7) / constant)


def wasserstein_matrix(boxes1: torch.Tensor, boxes2: torch.Tensor, constant: float) -> torch.Tensor:
    """:func:`wasserstein_similarity` of all pairs, for matching; needs memory for one matrix.

    Args:
        boxes1, boxes2: (N, 4) and (M, 4) XYXY in pixels.
        constant: C, in pixels.

    Returns:
        (N, M) in [0, 1], 1 for equal boxes.
    """
    # The faster mode by matrix products loses digits: an error of about a pixel at x = 2000.
    distance = torch.cdist(
        _gaussians(boxes1), _gaussians(boxes2), compute_mode="donot_use_mm_for_euclid_dist"
    )
    return distance.div_(-constant).exp_()


def _gaussians(boxes: torch.Tensor) -> torch.Tensor:
    """(N, 4) XYXY to means and standard deviations; W2 is the Euclidean distance of two rows."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return torch.cat([centre, (boxes[:, 2:] - boxes[:, :2]) / 2], dim=1)


def wasserstein_nms(ranked: torch.Tensor, threshold: float, constant: float) -> torch.Tensor:
    """Greedy non-maximum suppression by :func:`wasserstein_similarity`.

    Args:
        ranked: (N, 4) XYXY by decreasing score.
        threshold: a box is removed if its similarity to a kept box of higher rank is above this.
        constant: C, in pixels.

    Returns:
        (K,) int64 indices of the kept boxes, increasing.
    """
    rows = 2048  # processed at once; bounds memory
    pairs = [
        (wasserstein_matrix(ranked[start : start + rows], ranked, constant) > threshold)
        .triu_(start + 1)
        .nonzero()
        + ranked.new_tensor([start, 0], dtype=torch.int64)
        for start in range(0, len(ranked), rows)
    ]
    if not pairs:
        return torch.zeros(0, dtype=torch.int64, device=ranked.device)
    upper, lower = torch.cat(pairs).T
    heads = greedy_heads(len(ranked), upper, lower)
    return (heads == torch.arange(len(ranked), device=ranked.device)).nonzero()[:, 0]


def enlarge(boxes: torch.Tensor, scale: float) -> torch.Tensor:
    """Scales boxes about their centres.

    >>> enlarge(torch.tensor([[10.0, 20.0, 14.0, 30.0]]), 2).tolist()
    [[8.0, 15.0, 16.0, 35.0]]

    Args:
        boxes: (N, 4) XYXY.
        scale: positive factor of the sides; 1 changes nothing.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return torch.cat([centre - half, centre + half], dim=1)


def overlapping_pairs(
    boxes: torch.Tensor, groups: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs of overlapping boxes of the same group.

    >>> boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 15, 15], [20, 20, 30, 30]])
    >>> i, j = overlapping_pairs(boxes)
    >>> i.tolist(), j.tolist()
    ([0], [1])

    Args:
        boxes: (N, 4) XYXY. A box without area, or with a coordinate that is not finite, has no
            pairs.
        groups: (N,) integers; boxes of different groups are never paired. None: one group.

    Returns:
        (P,) and (P,) int64 indices i < j, each pair once. The order is unspecified, but always the
        same. Time and memory grow with N and P, not with N squared.
    """
    chunks = list(overlapping_pair_chunks(boxes, groups))
    return torch.cat([i for i, _ in chunks]), torch.cat([j for _, j in chunks])


def overlapping_pair_chunks(
    boxes: torch.Tensor, groups: torch.Tensor | None = None, limit: int = 1 << 21
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """:func:`overlapping_pairs` in chunks, for callers that keep only some of the pairs.

    Boxes are assigned to horizontal bands about as high as a box, and sorted by their left side
    within each band. So the boxes that start left of a box's right side follow it directly.

    Args:
        boxes, groups: as :func:`overlapping_pairs`.
        limit: number of candidate pairs processed at once, or N if that is more; bounds memory.

    Yields:
        (P,) and (P,) int64 indices i < j; at least one chunk, which may be empty.
    """
    order = boxes[:, 0].argsort(stable=True)
    left, top, right, bottom = boxes[order].T.contiguous()
    entry, opens, start, counts = _band_entries(
        left, top, right, bottom, None if groups is None else groups[order]
    )
    ends = counts.cumsum(dim=0)
    total = int(ends[-1]) if len(ends) else 0
    cuts = torch.arange(limit, max(total, limit), limit, device=boxes.device)
    stops = [0, *torch.searchsorted(ends, cuts).tolist(), len(ends)]
    for first, last in pairwise(stops):
        chunk_counts = counts[first:last]
        i = torch.repeat_interleave(torch.arange(first, last, device=boxes.device), chunk_counts)
        shift = start[first:last] - (chunk_counts.cumsum(dim=0) - chunk_counts)
        j = torch.arange(len(i), device=boxes.device) + torch.repeat_interleave(shift, chunk_counts)
        # Two boxes may share several bands. The pair counts in the first band that they share.
        is_pair = opens.index_select(0, i) | opens.index_select(0, j)
        i, j = entry.index_select(0, i), entry.index_select(0, j)
        is_pair &= top.index_select(0, i) < bottom.index_select(0, j)
        is_pair &= top.index_select(0, j) < bottom.index_select(0, i)
        # index_select is about three times faster than indexing by brackets here.
        kept = is_pair.nonzero().squeeze(1)
        i = order.index_select(0, i.index_select(0, kept))
        j = order.index_select(0, j.index_select(0, kept))
        yield torch.minimum(i, j), torch.maximum(i, j)


def _band_entries(
    left: torch.Tensor,
    top: torch.Tensor,
    right: torch.Tensor,
    bottom: torch.Tensor,
    groups: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One entry for each box and band that it reaches, E in all; boxes sorted by left side.

    Returns:
        (E,) box of each entry; (E,) whether the box starts in this band; (E,) index of the next
        entry; (E,) number of entries, from that one on, of boxes of the same band and group that
        start left of the right side of this box.
    """
    count, device = len(left), left.device
    empty = torch.zeros(0, dtype=torch.int64, device=device)
    sides = torch.stack([right - left, bottom - top])
    solid = ((sides > 0) & (sides < torch.inf)).all(dim=0)
    if not solid.any():
        return empty, empty.bool(), empty, empty
    lowest = top[solid].min()
    # The mean height keeps the number of entries below 3 N; the second term, bands below N + 1.
    band = torch.maximum(sides[1][solid].mean(), (bottom[solid].max() - lowest) / count)
    first, last = (((y - lowest) / band).floor().long() for y in (top, bottom))
    spans = torch.where(solid, last - first + 1, 0)
    box = torch.repeat_interleave(torch.arange(count, device=device), spans)
    step = torch.arange(len(box), device=device) - (spans.cumsum(dim=0) - spans)[box]
    key = first[box] + step
    if groups is not None:
        key = key + torch.unique(groups, return_inverse=True)[1][box] * (count + 2)
    code, position = (key * count + box).sort()
    box, opens = box[position], (step == 0)[position]
    begin_before_it_ends = torch.searchsorted(left, right)
    end = torch.searchsorted(code, key[position] * count + begin_before_it_ends[box])
    start = torch.arange(1, len(box) + 1, device=device)
    return box, opens, start, (end - start).clamp(min=0)


def paired_overlap(
    boxes1: torch.Tensor, boxes2: torch.Tensor, metric: str, constant: float = 12.8
) -> torch.Tensor:
    """Overlap of boxes in pairs, row by row.

    >>> left, right = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 10, 5]])
    >>> paired_overlap(left, right, "iou").item(), paired_overlap(left, right, "ios").item()
    (0.5, 1.0)

    Args:
        boxes1, boxes2: (P, 4) XYXY. Use float64 for large coordinates and for exact ties.
        metric: "iou", intersection over union; "ios", intersection over the smaller area; or "nwd",
            :func:`wasserstein_similarity` of boxes that overlap.
        constant: C of "nwd", in pixels.

    Returns:
        (P,) in [0, 1]; 0 where the boxes do not overlap.

    Raises:
        ValueError: the metric is unknown.
    """
    left, top, right, bottom = boxes1.T.contiguous()
    left2, top2, right2, bottom2 = boxes2.T.contiguous()
    area1, area2 = (right - left) * (bottom - top), (right2 - left2) * (bottom2 - top2)
    width = torch.minimum(right, right2) - torch.maximum(left, left2)
    height = torch.minimum(bottom, bottom2) - torch.maximum(top, top2)
    shared = width.clamp_(min=0) * height.clamp_(min=0)
    if metric == "nwd":
        distance = (_gaussians(boxes1) - _gaussians(boxes2)).norm(dim=1)
        return torch.where(shared > 0, torch.exp(-distance / constant), 0)
    if metric == "iou":
        whole = area1 + area2 - shared
    elif metric == "ios":
        whole = torch.minimum(area1, area2)
    else:
        raise ValueError(f'the overlap metric must be "iou", "ios" or "nwd"; got {metric!r}')
    return torch.where(shared > 0, shared / whole, 0)


def where(chosen: torch.Tensor, *columns: torch.Tensor) -> list[torch.Tensor]:
    """``column[chosen]`` of each column, by index_select: several times faster on a CPU."""
    index = chosen.nonzero().squeeze(1)
    return [column.index_select(0, index) for column in columns]


def greedy_heads(count: int, upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    """Greedy clusters: the best remaining box takes all boxes that overlap it, and so on.

    Boxes are compared only with the best box of a cluster, its head, not with other members, so
    objects in a row are not chained into one cluster.

    Each round decides all boxes that no better undecided box overlaps. The result is the same as
    of deciding them one by one.

    >>> greedy_heads(4, torch.tensor([0, 1]), torch.tensor([1, 2])).tolist()
    [0, 0, 2, 3]

    Args:
        count: number of boxes, N, sorted by decreasing score.
        upper, lower: (P,) int64, the better and the worse box of each overlapping pair.

    Returns:
        (N,) int64: the rank of the head of each box's cluster.
    """
    kept = torch.zeros(count, dtype=torch.bool, device=upper.device)
    undecided = ~kept
    i, j = upper, lower
    while len(i):
        best = undecided.index_fill(0, j, False)
        kept |= best
        undecided &= ~best
        [taken] = where(best.index_select(0, i), j)
        undecided.index_fill_(0, taken, False)
        left = undecided.index_select(0, i) & undecided.index_select(0, j)
        i, j = where(left, i, j)
    kept |= undecided
    i, j = where(kept.index_select(0, upper), upper, lower)
    heads = torch.arange(count, device=upper.device)
    return heads.scatter_reduce_(0, j, i, "amin")


def connected_components(count: int, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    """Connected components of a graph, such as that of :func:`overlapping_pairs`.

    Args:
        count: number of nodes, N.
        i, j: (P,) int64, the two ends of each edge.

    Returns:
        (N,) int64: the lowest node of each node's component.
    """
    labels = torch.arange(count, device=i.device)
    while len(i):
        # Both ends are roots here. A root is attached only to a lower one, so there are no cycles.
        labels.scatter_reduce_(0, torch.maximum(i, j), torch.minimum(i, j), "amin")
        above = labels[labels]
        while not torch.equal(above, labels):
            labels, above = above, above[above]
        i, j = labels[i], labels[j]
        apart = i != j
        i, j = i[apart], j[apart]
    return labels
