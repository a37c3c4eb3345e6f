"""Choice of the tile size: the cheapest that fits a budget and shows every object whole.

Pure functions. Sizes are (h, w) in pixels.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from smallobj.checks import check_not_negative
from smallobj.geometry.tiling import tiles_along

# With a smaller ratio of tile to overlap, most pixels would be computed at least twice.
_LEAST_TILE_PER_OVERLAP = 2


@dataclasses.dataclass(frozen=True)
class TileChoice:
    """A tile size for ``tiling.plan_tiles``, and the resulting tiles of each image.

    Attributes:
        tile: longest side of a tile, TEST.TILE.SIZE.
        overlap: least overlap of neighbouring tiles, TEST.TILE.OVERLAP.
        counts: (N,) number of tiles of each image.
        sides: (N, 2) tile size (h, w) of each image, including the model's padding.
    """

    tile: int
    overlap: int
    counts: np.ndarray
    sides: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether every image is a single tile."""
        return bool((self.counts == 1).all())

    @property
    def largest_side(self) -> tuple[int, int]:
        """(h, w) of the largest tile, including padding."""
        height, width = self.sides[self.sides.prod(axis=1).argmax()]
        return int(height), int(width)

    @property
    def pass_pixels(self) -> int:
        """Pixels of the largest tile, including padding."""
        return int(self.sides.prod(axis=1).max())

    @property
    def image_pixels(self) -> np.ndarray:
        """(N,) pixels computed for each image, including overlap and padding."""
        return self.counts * self.sides.prod(axis=1)


class BudgetError(ValueError):
    """No tile fits the budget.

    Attributes:
        least_pixels: of a pass with the smallest tile that is large enough for the overlap.
        max_pixels: the budget.
        memory_needed: bytes for a pass of ``least_pixels``, where the budget is one of memory.
    """

    def __init__(self, overlap: int, least_pixels: int, max_pixels: float) -> None:
        self.least_pixels = least_pixels
        self.max_pixels = max_pixels
        self.memory_needed: float | None = None
        super().__init__(
            f"a tile must be at least {_LEAST_TILE_PER_OVERLAP} x the overlap ({overlap} px); that "
            f"takes {least_pixels} pixels a pass; the budget is {int(max_pixels)}. Allow more, or "
            "cover fewer of the longest objects"
        )


def overlap_for(largest_object: float, margin: float) -> int:
    """The overlap that shows each object whole in some tile, away from the tile's seams.

    >>> overlap_for(100, margin=2)
    104

    Args:
        largest_object: longest side of any object, in pixels.
        margin: TEST.TILE.SEAM_MARGIN; boxes within this distance of a seam count as cut by it.
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
    most_side: int | None = None,
) -> TileChoice:
    """The tile size with the lowest total cost over all images.

    An image costs tiles x (padded pixels of a tile + ``pass_cost``). A single pass over the whole
    image costs least, so it is the result whenever the budget allows it. Ties are broken by fewer
    tiles, then by divisibility by ``multiple``, then by the smaller tile.

    Args:
        image_sizes: (N, 2) int.
        overlap: as :func:`overlap_for`.
        max_pixels: largest number of pixels, including padding, of one pass of the model.
        weights: (N,) how often each size occurs; None: once each.
        pass_cost: cost of a pass besides its pixels (that is, of its proposals), in pixels.
        multiple: the model's size divisibility.
        most_side: longest side of a tile; tiles of twice the overlap are always allowed.

    Raises:
        ValueError: there is no image, a size is not positive, or the overlap is negative.
        BudgetError: tiles of twice the overlap exceed the budget.
    """
    sizes = np.asarray(image_sizes, dtype=np.int64).reshape(-1, 2)
    if len(sizes) == 0 or sizes.min() < 1:
        raise ValueError(f"image sizes must be one (h, w) at least, all positive; got {sizes}")
    check_not_negative("the overlap", overlap)
    weights = np.ones(len(sizes)) if weights is None else np.asarray(weights, dtype=np.float64)
    candidates = _candidates(int(sizes.max()), overlap, multiple)
    if most_side is not None:
        candidates = candidates[candidates <= max(most_side, candidates[0])]
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
        raise BudgetError(overlap, int(largest.min()), max_pixels)
    order = np.lexsort((candidates, candidates % multiple != 0, tiles, np.round(cost, 3), ~fits))
    tile = int(candidates[order[0]])
    return lay_out(sizes, tile, overlap, multiple)


def lay_out(image_sizes: np.ndarray, tile: int, overlap: int, multiple: int = 32) -> TileChoice:
    """The tiles of images (N, 2) for a given tile size, as ``tiling.plan_tiles`` lays them."""
    plans = [_plan(size[:, None], np.array([tile]), overlap, multiple) for size in image_sizes]
    return TileChoice(
        tile=tile,
        overlap=overlap,
        counts=np.array([int(count[0]) for count, _ in plans]),
        sides=np.array([side[:, 0] for _, side in plans]),
    )


def _candidates(longest_image: int, overlap: int, multiple: int) -> np.ndarray:
    """All tile sides to compare, increasing."""
    # The ratio to the overlap does not matter for a single tile, but TEST.TILE.SIZE > OVERLAP.
    least = min(_LEAST_TILE_PER_OVERLAP * overlap, longest_image)
    least = max(least, overlap + 1)
    most = -(-max(longest_image, least) // multiple) * multiple
    return np.arange(least, most + 1, dtype=np.int64)


def _plan(
    size: np.ndarray, tiles: np.ndarray, overlap: int, multiple: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tile counts (S,) and padded tile sizes (2, S) of one image (2, 1) for tile sides (S,)."""
    counts, sides = tiles_along(size, tiles[None], overlap, multiple)
    return counts.prod(axis=0), -(-sides // multiple) * multiple
