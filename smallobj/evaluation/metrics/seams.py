"""What seams do to objects: those near a tile's edge against the same ones away from any.

A grid of tiles is laid over a photograph several times, shifted, so that an object lies near an
edge in some grids and away from all edges in others. The detector, the photograph and the object
stay the same, so what differs is the seam's doing, and chance.

Words that are used here, all in image pixels:

- An *edge* is a side of a tile that does not lie on the border of the image.
- An object is CUT if an edge runs through the inside of its box; BESIDE an edge if it is not cut
  and the distance from its box to the nearest edge is at most the longer side of the box; else OFF
  the seams. Cut and beside together are *near*.
- Tiles that hold the whole box are *views* of the object. A seam takes views away, an overlap adds
  some: an object in an overlap is looked at twice.
- A detection of score s >= ``min_score`` *belongs* to an object of its class if their IoU is at
  least 0.5, or if at least 0.7 of the detection's area lies in the object's box (a fragment). Where
  several objects claim it, it belongs to the one of highest IoU, the first of equals.
- An object is *found* if a detection that belongs to it has an IoU of at least 0.5 with it. Its
  *duplicates* are the detections that belong to it beyond the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from smallobj.evaluation.reading.tables import DetectionTable, LabelTable

OFF, BESIDE, CUT = 0, 1, 2
NEAR = (BESIDE, CUT)
MIN_IOU = 0.5
MIN_INSIDE = 0.7


def seam_zones(boxes: np.ndarray, tiles: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Where objects lie with regard to the edges of tiles.

    Args:
        boxes: (N, 4) XYXY in image pixels.
        tiles: (T, 4) XYXY in image pixels.
        image_size: (h, w).

    Returns:
        (N,) int64: OFF, BESIDE or CUT.
    """
    edges = interior_edges(tiles, image_size)
    if not len(edges):
        return np.full(len(boxes), OFF)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    # Edges have no width, so this is touching for the one and running through for the other.
    through = np.any(np.all((edges[:, :2] < high) & (edges[:, 2:] > low), axis=2), axis=1)
    gap = np.maximum(np.maximum(edges[:, :2] - high, low - edges[:, 2:]), 0)
    distance = np.hypot(gap[..., 0], gap[..., 1]).min(axis=1)
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return np.where(through, CUT, np.where(distance <= longer, BESIDE, OFF))


def interior_edges(tiles: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """The sides of tiles that do not lie on the border of the image.

    Args:
        tiles: (T, 4) XYXY in image pixels.
        image_size: (h, w).

    Returns:
        (E, 4) float64 XYXY boxes without width or without height.
    """
    height, width = image_size
    x0, y0, x1, y1 = np.asarray(tiles, dtype=np.float64).reshape(-1, 4).T
    left, right = np.stack([x0, y0, x0, y1], 1), np.stack([x1, y0, x1, y1], 1)
    top, bottom = np.stack([x0, y0, x1, y0], 1), np.stack([x0, y1, x1, y1], 1)
    return np.concatenate([left[x0 > 0], right[x1 < width], top[y0 > 0], bottom[y1 < height]])


def count_views(boxes: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """How many tiles hold each box whole.

    Args:
        boxes: (N, 4) XYXY in image pixels.
        tiles: (T, 4) XYXY in image pixels.

    Returns:
        (N,) int64.
    """
    begins = (boxes[:, None, :2] >= tiles[:, :2]).all(axis=2)
    ends = (boxes[:, None, 2:] <= tiles[:, 2:]).all(axis=2)
    return (begins & ends).sum(axis=1)


def find_owners(
    labels: LabelTable, detections: DetectionTable, min_score: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which object each detection belongs to.

    Args:
        labels: N objects of one image; those marked as crowd own nothing.
        detections: D detections in it.
        min_score: of those that count.

    Returns:
        (D,) int64, the object's number or -1; (D,) float64, IoU with that object, else 0.
    """
    count = len(detections)
    if not len(labels) or not count:
        return np.full(count, -1), np.zeros(count)
    boxes, wanted = detections.boxes, labels.boxes
    low = np.maximum(boxes[:, None, :2], wanted[:, :2])
    high = np.minimum(boxes[:, None, 2:], wanted[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    own = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)[:, None]
    area = np.clip(wanted[:, 2:] - wanted[:, :2], 0, None).prod(axis=1)
    allowed = (detections.categories[:, None] == labels.categories) & ~labels.crowd & (shared > 0)
    allowed &= (detections.scores >= min_score)[:, None]
    # 1 where nothing is shared: such pairs claim nothing, and boxes without area don't divide by 0.
    union = np.where(shared > 0, own + area - shared, 1)
    claims = allowed & ((shared >= MIN_IOU * union) | (shared >= MIN_INSIDE * own))
    # -1, so that a label that claims nothing never wins, and argmax takes the first of equals.
    iou = np.where(claims, shared / union, -1)
    owner = iou.argmax(axis=1)
    best = iou[np.arange(count), owner]
    return np.where(best > 0, owner, -1), np.maximum(best, 0)


class Observations(NamedTuple):
    """M objects, each seen in one grid; arrays of (M,).

    ``photograph`` and ``object`` number what was seen, the objects over all photographs.
    """

    photograph: np.ndarray
    object: np.ndarray
    zone: np.ndarray
    views: np.ndarray
    found: np.ndarray
    duplicates: np.ndarray


def observe(
    labels: LabelTable,
    detections: DetectionTable,
    tiles: np.ndarray,
    image_size: tuple[int, int],
    *,
    min_score: float,
    photograph: int,
    first_object: int,
) -> Observations:
    """What became of each object of a photograph in one grid; crowd regions are left out.

    Args:
        labels: the photograph's.
        detections: those in it, with this grid.
        tiles: (T, 4) XYXY, the grid.
        image_size: (h, w).
        min_score: of detections that count.
        photograph: its number.
        first_object: number of its first object.
    """
    owner, iou = find_owners(labels, detections, min_score)
    count = len(labels)
    belonging = np.bincount(owner[owner >= 0], minlength=count)
    right = np.bincount(owner[(owner >= 0) & (iou >= MIN_IOU)], minlength=count)
    columns = Observations(
        np.full(count, photograph),
        np.arange(first_object, first_object + count),
        seam_zones(labels.boxes, tiles, image_size),
        count_views(labels.boxes, tiles),
        right > 0,
        np.maximum(belonging - 1, 0),
    )
    return Observations(*(column[~labels.crowd] for column in columns))


def join(parts: Sequence[Observations]) -> Observations:
    """All observations together.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError("a study of seams needs at least one photograph; got none")
    return Observations(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclass(frozen=True)
class PairedDifference:
    """A figure near seams less the same figure, of the same objects, away from them.

    Attributes:
        objects: that were seen in both places.
        near, off: mean over objects of each one's mean over grids.
        low, high: 95% interval of near - off, by bootstrap over photographs; NaN without objects.
        higher, lower: objects of which the figure is higher, or lower, near seams.
        p_value: of the exact two-sided sign test on these two numbers.
    """

    objects: int
    near: float
    off: float
    low: float
    high: float
    higher: int
    lower: int
    p_value: float

    @property
    def difference(self) -> float:
        """near - off."""
        return self.near - self.off


def compare(
    seen: Observations,
    field: str,
    zones: Sequence[int] = NEAR,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Objects in some zones against the same objects off the seams.

    Photographs are resampled, not objects, as the objects of one share its light and its ground.
    The sign test takes objects for independent: it is a second opinion, not the interval's p-value.

    Args:
        seen: all observations.
        field: of the observations: "found", "duplicates" or "views".
        zones: what counts as near.
        resamples, seed: of the bootstrap.
    """
    values = getattr(seen, field).astype(np.float64)
    count = int(seen.object.max()) + 1 if len(seen.object) else 0
    near = _mean_by_object(seen.object, values, np.isin(seen.zone, zones), count)
    off = _mean_by_object(seen.object, values, seen.zone == OFF, count)
    both = np.flatnonzero(~np.isnan(near) & ~np.isnan(off))
    if not len(both):
        nan = math.nan
        return PairedDifference(0, nan, nan, nan, nan, 0, 0, 1.0)
    photograph = np.zeros(count, dtype=np.int64)
    photograph[seen.object] = seen.photograph
    delta = near[both] - off[both]
    low, high = _bootstrap(delta, photograph[both], resamples, seed)
    # A mean of three equal thirds may miss another by a rounding.
    higher, lower = int((delta > 1e-9).sum()), int((delta < -1e-9).sum())
    return PairedDifference(
        len(both),
        float(near[both].mean()),
        float(off[both].mean()),
        low,
        high,
        higher,
        lower,
        sign_test(higher, lower),
    )


def _mean_by_object(
    objects: np.ndarray, values: np.ndarray, chosen: np.ndarray, count: int
) -> np.ndarray:
    """(count,) mean of each object's chosen values, NaN where it has none."""
    times = np.bincount(objects[chosen], minlength=count)
    total = np.bincount(objects[chosen], weights=values[chosen], minlength=count)
    return np.divide(total, times, out=np.full(count, np.nan), where=times > 0)


def _bootstrap(
    delta: np.ndarray, photograph: np.ndarray, resamples: int, seed: int
) -> tuple[float, float]:
    """95% interval of the mean of ``delta``, (N,), when whole photographs are drawn anew."""
    _, group = np.unique(photograph, return_inverse=True)
    total, size = np.bincount(group, weights=delta), np.bincount(group)
    drawn = np.random.default_rng(seed).integers(0, len(size), (resamples, len(size)))
    # A quotient of sums: a photograph weighs as much as it has objects, as it does in the mean.
    means = total[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def sign_test(higher: int, lower: int) -> float:
    """Chance of so uneven a split, or a more uneven one, if both ways were equally likely.

    Exact and two-sided; for single observations it is McNemar's exact test.
    """
    trials, fewer = higher + lower, min(higher, lower)
    # In Python's integers: exact up to the last division, however many objects there are.
    tail = sum(math.comb(trials, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**trials)
