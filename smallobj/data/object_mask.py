"""A label's mask on its way into training tiles: cut, clipped, and how much of it is left.

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
    """An object's outlines."""

    polygons: list[np.ndarray]

    def area(self) -> float:
        """px²; outlines of one object are taken not to overlap, as COCO does."""
        return sum(_polygon_area(polygon) for polygon in self.polygons)

    def cut(self, tile: tuple[int, int, int, int]) -> PolygonMask:
        """What a tile shows, in its frame."""
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
    """An object's pixels: a bool crop (h, w) whose first pixel is (x, y)."""

    pixels: np.ndarray
    x: int = 0
    y: int = 0

    def area(self) -> float:
        return float(self.pixels.sum())

    def cut(self, tile: tuple[int, int, int, int]) -> BitMask:
        """What a tile shows, as a crop of the tile's size."""
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
    """The mask of a dataset dict's ``segmentation``; run lengths are decoded to the box they fill.

    So an object's bitmap is decoded once for all tiles of a photograph.
    """
    if not isinstance(segmentation, dict):
        return PolygonMask([np.asarray(p, np.float64).reshape(-1, 2) for p in segmentation])
    x, y, w, h = mask_util.toBbox(segmentation).astype(int).tolist()
    pixels = mask_util.decode(segmentation)[y : y + h, x : x + w].astype(bool)
    return BitMask(pixels, x, y)


def segmentation_rle(segmentation: list[list[float]] | Rle, size: tuple[int, int]) -> Rle:
    """A ``segmentation`` as a run-length mask of an image of size (h, w)."""
    if isinstance(segmentation, dict):
        return segmentation
    merged: dict[str, Any] = mask_util.merge(mask_util.frPyObjects(segmentation, *size))
    return {"size": list(size), "counts": merged["counts"].decode("ascii")}


def clip_polygon(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a polygon inside the rectangle from (0, 0) to ``size``, (h, w).

    Sutherland and Hodgman's way (Communications of the ACM 17, 1974), one side after another. A
    hollow shape that falls apart stays one polygon, whose parts are joined along the border: they
    enclose nothing there. (Detectron2's transform asks for the library shapely.)

    Args:
        polygon: (P, 2).

    Returns:
        (Q, 2), perhaps none.
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
        # Each point, then where the line from it meets the side.
        both = np.stack([polygon, meeting], axis=1).reshape(-1, 2)
        polygon = both[np.stack([inside >= 0, crosses], axis=1).reshape(-1)]
    return polygon


def _polygon_area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
