"""The tile to use: the cheapest that fits a budget and shows every object whole somewhere.

Pure functions. Sizes are (h, w) in pixels.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from smallobj.checks import check_not_negative
from smallobj.geometry.tiling import tiles_along

# Below this ratio of tile to overlap, most of what is computed is computed twice or more.
_LEAST_TILE_PER_OVERLAP = 2


@dataclasses.dataclass(frozen=True)
class TileChoice:
    """A tile for ``tiling.plan_tiles``, and what it comes to on each image size.

    Attributes:
        tile: longest side of a tile, TEST.TILE.SIZE.
        overlap: least overlap of neighbours, TEST.TILE.OVERLAP.
        counts: (N,) number of tiles of each image.
        sides: (N, 2) tile size (h, w) of each image, padded as the model pads it.
    """

    tile: int
    overlap: int
    counts: np.ndarray
    sides: np.ndarray

    @property
    def whole(self) -> bool:
        """Every image goes through the model in one pass."""
        return bool((self.counts == 1).all())

    @property
    def largest_side(self) -> tuple[int, int]:
        """(h, w) of the largest pass."""
        height, width = self.sides[self.sides.prod(axis=1).argmax()]
        return int(height), int(width)

    @property
    def pass_pixels(self) -> int:
        """Pixels of the largest pass."""
        return int(self.sides.prod(axis=1).max())

    @property
    def image_pixels(self) -> np.ndarray:
        """(N,) pixels computed for each image, overlap and padding included."""
        return self.counts * self.sides.prod(axis=1)


def overlap_for(largest_object: float, margin: float) -> int:
    """Overlap at which each object lies whole in a tile, and not within ``margin`` of its seams.

    Args:
        largest_object: longest side of any object.
        margin: TEST.TILE.SEAM_MARGIN; a box closer than this to a seam counts as cut by it.
    """
    return math.ceil(largest_object + 2 * margin)


def choose_tile(
    image_sizes: np.ndarray,
    overlap: int,
    max_pixels: float,
    *,
    weights: np.ndarray | None = None,
    pass_cost: float = 0.0,
    multiple: int = 32,
) -> TileChoice:
    """The tile with which all images cost least.

    An image costs tiles x (padded pixels of a tile + ``pass_cost``). A single pass over the whole
    image costs least of all, so that is what comes out wherever the budget allows it. Of equal
    costs the smallest tile wins, a multiple of ``multiple`` first.

    Args:
        image_sizes: (N, 2) int.
        overlap: as :func:`overlap_for`.
        max_pixels: most pixels, padding included, that one pass may have.
        weights: (N,) how often each size occurs; all once if left out.
        pass_cost: what a pass costs beside its pixels (its proposals), in pixels.
        multiple: the model's size divisibility.

    Raises:
        ValueError: no image, or a budget too small for tiles of twice the overlap.
    """
    sizes = np.asarray(image_sizes, dtype=np.int64).reshape(-1, 2)
    if len(sizes) == 0 or sizes.min() < 1:
        raise ValueError(f"image sizes must be one (h, w) at least, all positive; got {sizes}")
    check_not_negative("the overlap", overlap)
    weights = np.ones(len(sizes)) if weights is None else np.asarray(weights, dtype=np.float64)
    candidates = _candidates(int(sizes.max()), overlap, multiple)
    cost = np.zeros(len(candidates))
    tiles = np.zeros(len(candidates))
    largest = np.zeros(len(candidates))
    for size, weight in zip(sizes, weights, strict=True):
        count, side = _plan(size[:, None], candidates, overlap, multiple)
        area = side.prod(axis=0)
        cost += weight * count * (area + pass_cost)
        tiles += weight * count
        largest = np.maximum(largest, area)
    fits = largest <= max_pixels
    if not fits.any():
        raise ValueError(
            f"a tile must be at least {_LEAST_TILE_PER_OVERLAP} x the overlap ({overlap} px); that "
            f"takes {int(largest.min())} pixels a pass; the budget is {int(max_pixels)}. Allow "
            "more, or cover fewer of the longest objects"
        )
    order = np.lexsort((candidates, candidates % multiple != 0, tiles, np.round(cost, 3), ~fits))
    tile = int(candidates[order[0]])
    return lay_out(sizes, tile, overlap, multiple)


def lay_out(image_sizes: np.ndarray, tile: int, overlap: int, multiple: int = 32) -> TileChoice:
    """What a tile comes to on images (N, 2), as ``tiling.plan_tiles`` lays it."""
    plans = [_plan(size[:, None], np.array([tile]), overlap, multiple) for size in image_sizes]
    return TileChoice(
        tile=tile,
        overlap=overlap,
        counts=np.array([int(count[0]) for count, _ in plans]),
        sides=np.array([side[:, 0] for _, side in plans]),
    )


def _candidates(longest_image: int, overlap: int, multiple: int) -> np.ndarray:
    """Every tile side that is worth a look, ascending."""
    # A single tile needs no ratio to the overlap, but TEST.TILE.SIZE must exceed the overlap.
    least = min(_LEAST_TILE_PER_OVERLAP * overlap, longest_image)
    least = max(least, overlap + 1)
    most = -(-max(longest_image, least) // multiple) * multiple
    return np.arange(least, most + 1, dtype=np.int64)


def _plan(
    size: np.ndarray, tiles: np.ndarray, overlap: int, multiple: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tile counts (S,) and padded tile sizes (2, S) of one image (2, 1) for S tile sides (S,)."""
    counts, sides = tiles_along(size, tiles[None], overlap, multiple)
    return counts.prod(axis=0), -(-sides // multiple) * multiple
