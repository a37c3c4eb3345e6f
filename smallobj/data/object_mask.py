"""Masks of labels, cut to training tiles, and their visible area.

Polygons are lists of (P, 2) float arrays, x before y. A tile is (x0, y0, x1, y1) in image pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.data import transforms as T
from pycocotools import mask as mask_util

from smallobj.geometry.masks import Rle


@dataclass(frozen=True)
class PolygonMask:
    """An object's mask as polygons."""

    polygons: list[np.ndarray]

    def area(self) -> float:
        """Area in px²; as in COCO, the polygons of one object are assumed not to overlap."""
        return sum(_polygon_area(polygon) for polygon in self.polygons)

    def cut(self, tile: tuple[int, int, int, int]) -> PolygonMask:
        """The part of the mask in a tile, in the tile's frame."""
        x0, y0, x1, y1 = tile
        clipped = (clip_polygon(p - [x0, y0], (y1 - y0, x1 - x0)) for p in self.polygons)
        return PolygonMask([p for p in clipped if len(p) >= 3 and _polygon_area(p) > 0])

    def transformed(self, transforms: T.TransformList) -> PolygonMask:
        return PolygonMask(list(transforms.apply_polygons(self.polygons)))

    def box(self) -> np.ndarray:
        """(4,) XYXY, tight."""
        points = np.concatenate(self.polygons)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])

    def segmentation(self) -> list[np.ndarray]:
        """As Detectron2's ``annotations_to_instances`` takes it."""
        return [polygon.reshape(-1) for polygon in self.polygons]


@dataclass(frozen=True)
class BitMask:
    """An object's mask as pixels: a bool crop (h, w) whose first pixel is (x, y)."""

    pixels: np.ndarray
    x: int = 0
    y: int = 0

    def area(self) -> float:
        return float(self.pixels.sum())

    def cut(self, tile: tuple[int, int, int, int]) -> BitMask:
        """The part of the mask in a tile, as a crop of the tile's size."""
        x0, y0, x1, y1 = tile
        shown = np.zeros((y1 - y0, x1 - x0), dtype=bool)
        height, width = self.pixels.shape
        left, top = max(self.x, x0), max(self.y, y0)
        right, bottom = min(self.x + width, x1), min(self.y + height, y1)
        if left < right and top < bottom:
            shown[top - y0 : bottom - y0, left - x0 : right - x0] = self.pixels[
                top - self.y : bottom - self.y, left - self.x : right - self.x
            ]
        return BitMask(shown)

    def transformed(self, transforms: T.TransformList) -> BitMask:
        return BitMask(transforms.apply_segmentation(self.pixels.astype(np.uint8)).astype(bool))

    def box(self) -> np.ndarray:
        """(4,) XYXY, tight."""
        ys, xs = np.nonzero(self.pixels)
        start = np.array([xs.min() + self.x, ys.min() + self.y], dtype=np.float64)
        return np.concatenate([start, [xs.max() + self.x + 1, ys.max() + self.y + 1]])

    def segmentation(self) -> np.ndarray:
        """As Detectron2's ``annotations_to_instances`` takes it."""
        return self.pixels


def object_mask(segmentation: list[list[float]] | Rle) -> PolygonMask | BitMask:
    """The mask of a dataset dict's ``segmentation``.

    A run-length mask is decoded to a crop of its bounding box, once for all tiles of an image.
    """
    if not isinstance(segmentation, dict):
        return PolygonMask([np.asarray(p, np.float64).reshape(-1, 2) for p in segmentation])
    x, y, w, h = mask_util.toBbox(segmentation).astype(int).tolist()
    pixels = mask_util.decode(segmentation)[y : y + h, x : x + w].astype(bool)
    return BitMask(pixels, x, y)


def segmentation_rle(segmentation: list[list[float]] | Rle, size: tuple[int, int]) -> Rle:
    """Converts a ``segmentation`` to a run-length mask of an image of size (h, w)."""
    if isinstance(segmentation, dict):
        return segmentation
    merged: dict[str, Any] = mask_util.merge(mask_util.frPyObjects(segmentation, *size))
    return {"size": list(size), "counts": merged["counts"].decode("ascii")}


def clip_polygon(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a polygon inside the rectangle from (0, 0) to ``size``, (h, w).

    The algorithm is that of Sutherland and Hodgman (Communications of the ACM 17, 1974), which
    clips at one side after another. If the clipped shape has several parts, they stay one polygon,
    joined along the border by edges that enclose no area. (Detectron2's transform needs the library
    shapely.)

    Args:
        polygon: (P, 2).
        size: (h, w).

    Returns:
        (Q, 2); Q is 0 if nothing is inside.

    >>> clip_polygon(np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]), (10, 2)).tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 4.0], [0.0, 4.0]]
    """
    for axis, bound, sign in ((0, 0, 1), (0, size[1], -1), (1, 0, 1), (1, size[0], -1)):
        if not len(polygon):
            break
        inside = sign * (polygon[:, axis] - bound)  # below 0 outside
        following, after = np.roll(polygon, -1, axis=0), np.roll(inside, -1)
        crosses = (inside < 0) != (after < 0)
        share = np.divide(inside, inside - after, out=np.zeros_like(inside), where=crosses)
        meeting = polygon + share[:, None] * (following - polygon)
        meeting[:, axis] = bound
        # Each point, followed by the point where the edge from it meets the side.
        both = np.stack([polygon, meeting], axis=1).reshape(-1, 2)
        polygon = both[np.stack([inside >= 0, crosses], axis=1).reshape(-1)]
    return polygon


def _polygon_area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
