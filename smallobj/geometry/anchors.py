"""Fitting anchors to a set of boxes: k-means by IoU, sizes and ratios for Detectron2, recall.

Pure NumPy. Sides are (w, h) in pixels of the network's input; an aspect ratio is h / w.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

# Number of rows processed at once; bounds the memory of the IoU tables.
_CHUNK = 20_000
# Logarithms of the sizes and of the ratios of a level.
_Level = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Anchors of Detectron2's DefaultAnchorGenerator for given SIZES and ASPECT_RATIOS.

    Attributes:
        sizes: square roots of the areas, for each level.
        ratios: h / w, for each level; a level has an anchor for every pair of a size and a ratio.
        strides: distance between neighbouring anchors, for each level.
        offset: of the first anchor from the image's corner, in strides.
    """

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[tuple[float, ...], ...]
    strides: tuple[int, ...]
    offset: float = 0.0

    def __post_init__(self) -> None:
        levels = len(self.strides)
        assert len(self.sizes) == len(self.ratios) == levels, (self.sizes, self.ratios, levels)

    def shapes(self, level: int) -> np.ndarray:
        """(A, 2) sides of a level's anchors."""
        return _shapes(np.array(self.sizes[level]), np.array(self.ratios[level]))

    @property
    def all_shapes(self) -> np.ndarray:
        """(K, 2) sides of the anchors of all levels."""
        return np.concatenate([self.shapes(level) for level in range(len(self.strides))])


@dataclasses.dataclass(frozen=True)
class SideAnchors:
    """Anchors with arbitrary sides, as in YOLO.

    Attributes:
        sides: (w, h) of each anchor, for each level.
        strides: distance between neighbouring anchors, for each level.
        offset: of the first anchor from the image's corner, in strides.
    """

    sides: tuple[tuple[tuple[float, float], ...], ...]
    strides: tuple[int, ...]
    offset: float = 0.5

    def shapes(self, level: int) -> np.ndarray:
        """(A, 2) sides of a level's anchors."""
        return np.array(self.sides[level])

    @property
    def all_shapes(self) -> np.ndarray:
        """(K, 2) sides of the anchors of all levels."""
        return np.concatenate([self.shapes(level) for level in range(len(self.strides))])


def _shapes(sizes: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    root = np.sqrt(ratios)
    sides = np.stack([sizes[:, None] / root, sizes[:, None] * root], axis=-1)
    return sides.reshape(-1, 2)


def shape_iou(sides: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of boxes with a common centre: sides (N, 2) and (K, 2) to (N, K).

    >>> shape_iou(np.array([[10.0, 20.0]]), np.array([[10.0, 10.0], [10.0, 20.0]])).tolist()
    [[0.5, 1.0]]
    """
    common = np.minimum(sides[:, None], others[None]).prod(axis=-1)
    return common / (sides.prod(axis=1)[:, None] + others.prod(axis=1)[None] - common)


def cluster_sides(
    sides: np.ndarray, count: int, seed: int = 0, iterations: int = 100
) -> np.ndarray:
    """k-means with the distance 1 - IoU (arXiv 1612.08242, section 2, dimension clusters).

    Initialised as in k-means++: each next centre is a random box, with a probability proportional
    to its distance from the nearest centre so far. The same input and seed give the same clusters.

    Args:
        sides: (N, 2), N >= 1.
        count: number of clusters, K.

    Returns:
        (K, 2) means of the clusters, by increasing area. Some are equal if the boxes have fewer
        than K different shapes.

    Raises:
        ValueError: there is no box, or a side is not positive.
    """
    if len(sides) == 0 or not (sides > 0).all():
        raise ValueError("anchors need at least one box to fit, and all boxes need positive sides")
    rng = np.random.default_rng(seed)
    centres = sides[rng.integers(len(sides))][None].astype(np.float64)
    for _ in range(count - 1):
        weight = 1 - shape_iou(sides, centres).max(axis=1)
        total = weight.sum()
        chosen = rng.choice(len(sides), p=weight / total) if total > 1e-9 else 0
        centres = np.concatenate([centres, sides[chosen][None]])
    members = np.full(len(sides), -1)
    for _ in range(iterations):
        nearest = shape_iou(sides, centres).argmax(axis=1)
        if (nearest == members).all():
            break
        members = nearest
        sizes = np.bincount(members, minlength=count)[:, None]
        sums = np.stack([np.bincount(members, sides[:, i], minlength=count) for i in (0, 1)], 1)
        # A cluster without boxes keeps its centre.
        centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]


def fit_sides(sides: np.ndarray, count: int, starts: int = 5, most: int = 4000) -> np.ndarray:
    """Sides of anchors for objects: the best of several runs of k-means.

    Args:
        sides: (N, 2), N >= 1.
        count: number of anchors, K.
        starts: number of runs, since the result of k-means depends on its initialisation.
        most: largest number of objects used; of more, a random sample is taken.

    Returns:
        (K, 2) by increasing area, rounded to tenths of a pixel.

    Raises:
        ValueError: as :func:`cluster_sides`.
    """
    if len(sides) > most:
        sides = sides[np.random.default_rng(0).choice(len(sides), most, replace=False)]
    runs = [cluster_sides(sides, count, seed) for seed in range(starts)]
    best = max(runs, key=lambda centres: shape_iou(sides, centres).max(axis=1).mean())
    return np.maximum(best.round(1), 0.1)


def grid_phases(count: int) -> np.ndarray:
    """(P, 2) positions of objects' centres in a cell of the anchor grid, the unit square.

    They are evenly spread: the R2 sequence.
    """
    golden = 1.32471795724474602596  # root of x^3 = x + 1
    steps = np.arange(1, count + 1)[:, None] * np.array([1 / golden, 1 / golden**2])
    return (0.5 + steps) % 1


def level_overlaps(
    sides: np.ndarray, shapes: np.ndarray, stride: int, offset: float, centres: np.ndarray
) -> np.ndarray:
    """IoU of each object with the best anchor of a level, with the anchors on their grid.

    Args:
        sides: (N, 2).
        shapes: (A, 2) anchors of the level.
        stride, offset: of the level's grid.
        centres: (P, 2) positions, in pixels, at which each object is placed.

    Returns:
        (N, P). Only the nearest anchor of each shape is used, since no other one overlaps more.
    """
    off = np.abs((centres - (offset - 0.5) * stride) % stride - stride / 2)
    reach = (sides[:, None, None] + shapes[None, None]) / 2 - off[None, :, None]
    limit = np.minimum(sides[:, None, None], shapes[None, None])
    common = np.clip(np.minimum(reach, limit), 0, None).prod(axis=-1)
    areas = sides.prod(axis=1)[:, None, None] + shapes.prod(axis=1)[None, None]
    return (common / (areas - common)).max(axis=-1)


def best_overlaps(
    sides: np.ndarray, anchors: Anchors | SideAnchors, phases: int = 16
) -> np.ndarray:
    """IoU of each object with its best anchor, at ``phases`` positions relative to the grid.

    Objects can lie anywhere, but anchors lie at multiples of their stride. A 10 px object on a grid
    of 16 px loses most of the IoU that its shape alone would give.

    Returns:
        (N, phases).
    """
    centres = grid_phases(phases) * max(anchors.strides)
    best = np.zeros((len(sides), phases))
    for start in range(0, len(sides), _CHUNK):
        rows = slice(start, start + _CHUNK)
        for level, stride in enumerate(anchors.strides):
            overlap = level_overlaps(
                sides[rows], anchors.shapes(level), stride, anchors.offset, centres
            )
            best[rows] = np.maximum(best[rows], overlap)
    return best


@dataclasses.dataclass(frozen=True)
class AnchorFit:
    """How well anchors fit objects.

    Attributes:
        recall: by IoU threshold, the share of objects whose best anchor reaches it, with the
            anchors on their grid and each object at several positions. "Best possible recall".
        mean: mean IoU of the best anchor, for the same positions.
        shape_recall, shape_mean: the same by shape alone, with anchors centred on each object.
    """

    recall: dict[float, float]
    mean: float
    shape_recall: dict[float, float]
    shape_mean: float


def measure_anchors(
    sides: np.ndarray, anchors: Anchors | SideAnchors, thresholds: tuple[float, ...] = (0.5, 0.7)
) -> AnchorFit:
    """Measures the fit of anchors to the sides (N, 2) of objects, N >= 1."""
    placed = best_overlaps(sides, anchors)
    shapes = anchors.all_shapes
    chunks = [sides[i : i + _CHUNK] for i in range(0, len(sides), _CHUNK)]
    centred = np.concatenate([shape_iou(chunk, shapes).max(axis=1) for chunk in chunks])
    return AnchorFit(
        recall={t: float((placed >= t).mean()) for t in thresholds},
        mean=float(placed.mean()),
        shape_recall={t: float((centred >= t).mean()) for t in thresholds},
        shape_mean=float(centred.mean()),
    )


def fit_anchors(sides: np.ndarray, like: Anchors, seed: int = 0, most: int = 2000) -> Anchors:
    """Fits anchors to objects, with the levels and the number of anchors of another set.

    k-means gives one cluster for each anchor. The clusters are assigned to the levels by area. The
    sizes and ratios of a level are geometric means over its clusters, because Detectron2 combines
    every size with every ratio. This loses some of the fit, so coordinate ascent then changes one
    size or ratio at a time while recall on the grid rises (:func:`_utility`). The ascent also runs
    from ``like``. The better of the two results is returned, so it is no worse than ``like`` on the
    sample.

    Args:
        sides: (N, 2), N >= 1.
        like: gives the levels, and the number of sizes and of ratios of each.
        seed: of the k-means initialisation and of the sample.
        most: largest number of objects used; of more, a random sample is taken.

    Raises:
        ValueError: as :func:`cluster_sides`.
    """
    if len(sides) > most:
        sides = sides[np.random.default_rng(seed).choice(len(sides), most, replace=False)]
    clusters = cluster_sides(sides, len(like.all_shapes), seed)
    from_clusters: list[_Level] = []
    begin = 0
    for sizes, ratios in zip(like.sizes, like.ratios, strict=True):
        end = begin + len(sizes) * len(ratios)
        from_clusters.append(_factors(clusters[begin:end], len(sizes), len(ratios)))
        begin = end
    from_like = [(np.log(s), np.log(r)) for s, r in zip(like.sizes, like.ratios, strict=True)]
    results = [_refine(sides, start, like) for start in (from_clusters, from_like)]
    return max(results, key=lambda result: result[0])[1]


def _factors(clusters: np.ndarray, sizes: int, ratios: int) -> _Level:
    """Logarithms of sizes and ratios whose combinations approximate the clusters of a level."""
    size = np.sort(np.log(clusters).mean(axis=1)).reshape(sizes, ratios).mean(axis=1)
    ratio = np.sort(np.log(clusters[:, 1] / clusters[:, 0])).reshape(ratios, sizes).mean(axis=1)
    return size, ratio


def _utility(overlaps: np.ndarray) -> float:
    """The objective of the fit: recall at IoU 0.5, plus a quarter of the mean best IoU.

    A threshold has no slope to climb, so a ramp from 0.45 to 0.55 replaces it. With the mean alone,
    objects of unusual shape would be missed in exchange for a better fit of the common shapes,
    which are found anyway.
    """
    return float(np.clip((overlaps - 0.45) / 0.1, 0, 1).mean() + overlaps.mean() / 4)


def _refine(sides: np.ndarray, logs: list[_Level], like: Anchors) -> tuple[float, Anchors]:
    """Coordinate ascent from the given logarithms; the levels stay ordered by size."""
    logs = list(logs)
    centres = grid_phases(4) * max(like.strides)

    def overlaps(level: int, pair: _Level) -> np.ndarray:
        shapes = _shapes(np.exp(pair[0]), np.exp(pair[1]))
        return level_overlaps(sides, shapes, like.strides[level], like.offset, centres)

    def in_order(pairs: list[_Level]) -> bool:
        means = [pair[0].mean() for pair in pairs]
        return all(low <= high for low, high in itertools.pairwise(means))

    table = [overlaps(level, pair) for level, pair in enumerate(logs)]
    best = _utility(np.max(table, axis=0))
    step = 0.2
    while step > 0.01:
        moved = False
        for level, pair in enumerate(logs):
            others = [t for other, t in enumerate(table) if other != level]
            rest = np.max(others, axis=0) if others else np.zeros_like(table[level])
            for part, index, sign in _moves(pair):
                trial = (logs[level][0].copy(), logs[level][1].copy())
                trial[part][index] += sign * step
                overlap = overlaps(level, trial)
                value = _utility(np.maximum(rest, overlap))
                if value > best + 1e-6 and in_order([*logs[:level], trial, *logs[level + 1 :]]):
                    logs[level], table[level], best, moved = trial, overlap, value, True
        if not moved:
            step /= 2
    fitted = dataclasses.replace(
        like,
        sizes=tuple(tuple(np.round(np.exp(s), 1).tolist()) for s, _ in logs),
        ratios=tuple(tuple(np.round(np.sort(np.exp(r)), 2).tolist()) for _, r in logs),
    )
    return best, fitted


def _moves(pair: _Level) -> list[tuple[int, int, int]]:
    """(0 for sizes or 1 for ratios, index, sign) of each possible change of a level."""
    return [
        (part, index, sign)
        for part in (0, 1)
        for index in range(len(pair[part]))
        for sign in (1, -1)
    ]
