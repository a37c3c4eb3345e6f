"""Box arithmetic that detectron2.structures lacks. Pure functions; boxes are XYXY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from detectron2.structures import BoxMode


def annotation_boxes(annotations: Sequence[dict[str, Any]]) -> np.ndarray:
    """Boxes of a dataset dict's annotations, whatever their modes: (N, 4) float64, pixels."""
    # As arrays: of a list the result has the precision of float32.
    boxes = [
        BoxMode.convert(np.array([a["bbox"]], np.float64), a["bbox_mode"], BoxMode.XYXY_ABS)
        for a in annotations
    ]
    return np.concatenate([np.zeros((0, 4)), *boxes])


def wasserstein_similarity(
    boxes1: torch.Tensor, boxes2: torch.Tensor, constant: float
) -> torch.Tensor:
    """Normalised Gaussian Wasserstein distance of box pairs, exp(-W2 / C).

    Each box is read as the Gaussian with mean at its centre and standard deviations of half its
    sides; W2 is the 2-Wasserstein distance of the two. Unlike IoU it has a slope where the boxes
    don't meet, and a shift by a pixel costs a small box no more than a large one.
    Source: arXiv 2110.13389, section 3.2.

    Args:
        boxes1, boxes2: (N, 4) XYXY in pixels.
        constant: C, in pixels.

    Returns:
        (N,) in (0, 1], 1 for equal boxes.
    """
    offset = (boxes1[:, :2] + boxes1[:, 2:] - boxes2[:, :2] - boxes2[:, 2:]) / 2
    scale = (boxes1[:, 2:] - boxes1[:, :2] - boxes2[:, 2:] + boxes2[:, :2]) / 2
    squared = offset.square().sum(dim=1) + scale.square().sum(dim=1)
    # The square root has no finite slope at 0.
    return torch.exp(-torch.sqrt(squared + 1e-7) / constant)


def wasserstein_matrix(boxes1: torch.Tensor, boxes2: torch.Tensor, constant: float) -> torch.Tensor:
    """:func:`wasserstein_similarity` of each box with each, for matching; it needs one matrix.

    Args:
        boxes1, boxes2: (N, 4) and (M, 4) XYXY in pixels.
        constant: C, in pixels.

    Returns:
        (N, M) in [0, 1], 1 for equal boxes.
    """
    # The quick way by a matrix product cancels: it would move neighbours at x = 2000 by a pixel.
    distance = torch.cdist(
        _gaussians(boxes1), _gaussians(boxes2), compute_mode="donot_use_mm_for_euclid_dist"
    )
    return distance.div_(-constant).exp_()


def _gaussians(boxes: torch.Tensor) -> torch.Tensor:
    """(N, 4) XYXY to centre and standard deviations; W2 is the Euclidean distance of two rows."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return torch.cat([centre, (boxes[:, 2:] - boxes[:, :2]) / 2], dim=1)


def wasserstein_nms(ranked: torch.Tensor, threshold: float, constant: float) -> torch.Tensor:
    """Greedy non-maximum suppression by :func:`wasserstein_similarity`.

    Args:
        ranked: (N, 4) XYXY by falling score.
        threshold: a box more similar than this to a better one that is kept goes.
        constant: C, in pixels.

    Returns:
        (K,) int64, rising: the boxes that are kept.
    """
    rows = 2048  # looked at together, which bounds memory
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
    """Boxes with their sides multiplied by ``scale`` about their centres.

    Args:
        boxes: (N, 4) XYXY.
        scale: factor, positive; 1 changes nothing.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return torch.cat([centre - half, centre + half], dim=1)


def overlapping_pairs(
    boxes: torch.Tensor, groups: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs of boxes of one group that share some area.

    Args:
        boxes: (N, 4) XYXY. A box without area, or with a coordinate that isn't finite, meets none.
        groups: (N,) integers; boxes of different groups are never paired. None: one group.

    Returns:
        (P,) and (P,) int64 indices i < j, each pair once, in no promised but always the same order.
        Time and memory grow with N and P, not with N squared.
    """
    chunks = list(overlapping_pair_chunks(boxes, groups))
    return torch.cat([i for i, _ in chunks]), torch.cat([j for _, j in chunks])


def overlapping_pair_chunks(
    boxes: torch.Tensor, groups: torch.Tensor | None = None, limit: int = 1 << 21
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """:func:`overlapping_pairs` in chunks, for callers that keep only some of the pairs.

    Boxes are entered in horizontal bands about as high as a box, and sorted by left side within
    each band: those that begin before a box ends then follow it directly.

    Args:
        boxes, groups: as :func:`overlapping_pairs`.
        limit: candidates looked at together, N at least; bounds memory.

    Yields:
        (P,) and (P,) int64 indices i < j; at least one piece, which may be empty.
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
        some = counts[first:last]
        i = torch.repeat_interleave(torch.arange(first, last, device=boxes.device), some)
        shift = start[first:last] - (some.cumsum(dim=0) - some)
        j = torch.arange(len(i), device=boxes.device) + torch.repeat_interleave(shift, some)
        # Two boxes may meet in several bands; the one where the lower of them opens counts.
        once = opens.index_select(0, i) | opens.index_select(0, j)
        i, j = entry.index_select(0, i), entry.index_select(0, j)
        once &= top.index_select(0, i) < bottom.index_select(0, j)
        once &= top.index_select(0, j) < bottom.index_select(0, i)
        # index_select is some three times faster than brackets here.
        met = once.nonzero().squeeze(1)
        i = order.index_select(0, i.index_select(0, met))
        j = order.index_select(0, j.index_select(0, met))
        yield torch.minimum(i, j), torch.maximum(i, j)


def _band_entries(
    left: torch.Tensor,
    top: torch.Tensor,
    right: torch.Tensor,
    bottom: torch.Tensor,
    groups: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes, sorted by left side, entered once in each band that they reach; E entries.

    Returns:
        (E,) box of each entry; (E,) whether the box opens in this band; (E,) first of the entries
        that begin, in the same band and group, where the box lies; (E,) how many these are.
    """
    count, device = len(left), left.device
    empty = torch.zeros(0, dtype=torch.int64, device=device)
    sides = torch.stack([right - left, bottom - top])
    solid = ((sides > 0) & (sides < torch.inf)).all(dim=0)
    if not solid.any():
        return empty, empty.bool(), empty, empty
    lowest = top[solid].min()
    # The mean height keeps entries below 3 N, the second term band numbers below N + 1.
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
    """Overlap of each box with the one beside it.

    Args:
        boxes1, boxes2: (P, 4) XYXY. Give float64 for large coordinates and for exact ties.
        metric: "iou", intersection over union; "ios", intersection over the smaller area; or "nwd",
            :func:`wasserstein_similarity` of boxes that share some area.
        constant: C of "nwd", in pixels.

    Returns:
        (P,) in [0, 1]; 0 where the boxes share no area.

    Raises:
        ValueError: another metric.
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
    """``column[chosen]`` for each, several times faster on a CPU than brackets."""
    index = chosen.nonzero().squeeze(1)
    return [column.index_select(0, index) for column in columns]


def greedy_heads(count: int, upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    """Greedy clusters: the best box left takes all that overlap it, until none is left.

    Everything is compared with the best box of a cluster, never with what the cluster has grown
    to, so that objects in a row aren't chained into one.

    Each round decides all boxes that no undecided better one overlaps, which gives what going
    through them one by one gives.

    Args:
        count: number of boxes, N, by falling score.
        upper, lower: (P,) int64, the better and the worse box of each pair that overlaps.

    Returns:
        (N,) int64: the rank of the best box of each box's cluster.
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
        (N,) int64: the lowest node of the component that each node belongs to.
    """
    labels = torch.arange(count, device=i.device)
    while len(i):
        # Both ends are roots here. A root hangs on a lower one only, so no cycle can arise.
        labels.scatter_reduce_(0, torch.maximum(i, j), torch.minimum(i, j), "amin")
        above = labels[labels]
        while not torch.equal(above, labels):
            labels, above = above, above[above]
        i, j = labels[i], labels[j]
        apart = i != j
        i, j = i[apart], j[apart]
    return labels
