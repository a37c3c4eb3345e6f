"""Tiles: where they lie, how boxes move between frames, which boxes a seam has cut.

Pure functions on NumPy arrays and tensors. A tile is (x0, y0, x1, y1) in image pixels, integer,
end exclusive. Sizes are (h, w).
"""

from __future__ import annotations

import math

import numpy as np
import torch


def plan_tiles(
    image_size: tuple[int, int], tile: int, overlap: int, multiple: int = 32
) -> np.ndarray:
    """The fewest tiles of one size that cover an image, no larger than they must be.

    Neighbours share at least ``overlap`` pixels along each axis, so an object whose sides are
    both at most ``overlap`` lies whole in at least one tile.

    Args:
        image_size: (h, w) of the image.
        tile: longest side of a tile.
        overlap: least overlap of neighbours, 0 <= overlap < tile.
        multiple: sides are rounded up to it where ``tile`` and the image allow, since detectors
            pad their input to the stride of their coarsest features.

    Returns:
        (T, 4) int64, row by row from the top left; all T tiles have the same size.

    Raises:
        ValueError: an empty image or an overlap outside [0, tile).
    """
    height, width = image_size
    if height < 1 or width < 1:
        raise ValueError(f"an image has at least one pixel a side; got (h, w) = {image_size}")
    if not 0 <= overlap < tile:
        raise ValueError(f"the overlap must lie in [0, tile); got overlap {overlap}, tile {tile}")
    ys, tile_height = _spread(height, tile, overlap, multiple)
    xs, tile_width = _spread(width, tile, overlap, multiple)
    y0, x0 = (grid.ravel() for grid in np.meshgrid(ys, xs, indexing="ij"))
    return np.stack([x0, y0, x0 + tile_width, y0 + tile_height], axis=1)


def _spread(length: int, tile: int, overlap: int, multiple: int) -> tuple[np.ndarray, int]:
    """Starts of the fewest tiles along one axis, and the side that these need."""
    if length <= tile:
        return np.zeros(1, dtype=np.int64), length
    count = -(-(length - overlap) // (tile - overlap))
    needed = -(-(length + (count - 1) * overlap) // count)
    side = min(-(-needed // multiple) * multiple, tile)
    # Integer arithmetic: rounded float positions could pull two tiles further apart than promised.
    return np.arange(count, dtype=np.int64) * (length - side) // (count - 1), side


def visible_fraction(boxes: np.ndarray, tile: np.ndarray) -> np.ndarray:
    """Share of each box's area that lies in a tile.

    Args:
        boxes: (N, 4) XYXY in image pixels.
        tile: (4,) in image pixels.

    Returns:
        (N,) in [0, 1]; 0 for a box without area.
    """
    low = np.maximum(boxes[:, :2], tile[:2])
    high = np.minimum(boxes[:, 2:], tile[2:])
    visible = np.clip(high - low, 0, None).prod(axis=1)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return np.divide(visible, area, out=np.zeros_like(area), where=area > 0)


def place_on_box(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    box: np.ndarray,
    tile: int,
    jitter: float,
) -> np.ndarray:
    """A tile that holds a box whole (if it fits), off centre by chance.

    Args:
        rng: source of chance.
        image_size: (h, w).
        box: (4,) XYXY in image pixels.
        tile: side of the tile.
        jitter: 0 centres the box, 1 allows every place at which it is still whole.

    Returns:
        (4,) int64, inside the image; smaller than ``tile`` along an image side shorter than it.
    """
    start = []
    for axis, length in ((0, image_size[1]), (1, image_size[0])):
        low, high = box[axis], box[axis + 2]
        slack = max(tile - (high - low), 0.0) / 2 * jitter
        origin = round((low + high - tile) / 2 + rng.uniform(-slack, slack))
        # Rounding must not cut what the tile can hold.
        first, last = math.ceil(high - tile), math.floor(low)
        if first <= last:
            origin = min(max(origin, first), last)
        start.append(min(max(origin, 0), max(length - tile, 0)))
    return _tile_at(start[0], start[1], image_size, tile)


def place_on_background(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    boxes: np.ndarray,
    tile: int,
    attempts: int = 20,
) -> np.ndarray:
    """A tile that meets no box; of several attempts the one that shows least of any, if all do.

    Args and returns: as :func:`place_on_box`, with boxes (N, 4).
    """
    best, least = None, np.inf
    for _ in range(attempts):
        x0 = int(rng.integers(0, max(image_size[1] - tile, 0) + 1))
        y0 = int(rng.integers(0, max(image_size[0] - tile, 0) + 1))
        candidate = _tile_at(x0, y0, image_size, tile)
        shown = visible_fraction(boxes, candidate).sum()
        if shown < least:
            best, least = candidate, shown
        if shown == 0:
            break
    assert best is not None
    return best


def _tile_at(x0: int, y0: int, image_size: tuple[int, int], tile: int) -> np.ndarray:
    height, width = image_size
    return np.array([x0, y0, min(x0 + tile, width), min(y0 + tile, height)], dtype=np.int64)


def sample_training_tiles(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    boxes: np.ndarray,
    *,
    tile: int,
    count: int,
    background_ratio: float,
    jitter: float,
) -> np.ndarray:
    """Tiles for training: on objects in turn, or on background.

    Objects are taken from a random permutation, so that all are seen before one is seen twice.

    Args:
        rng: source of chance.
        image_size: (h, w).
        boxes: (N, 4) XYXY in image pixels; N = 0 gives background only.
        tile, jitter: as :func:`place_on_box`.
        count: number of tiles.
        background_ratio: chance that a tile is placed on background.

    Returns:
        (count, 4) int64.
    """
    order: list[int] = []
    tiles = []
    for _ in range(count):
        if len(boxes) == 0 or rng.random() < background_ratio:
            tiles.append(place_on_background(rng, image_size, boxes, tile))
            continue
        if not order:
            order = rng.permutation(len(boxes)).tolist()
        tiles.append(place_on_box(rng, image_size, boxes[order.pop()], tile, jitter))
    return np.stack(tiles)


def cut_by_seam(
    boxes: torch.Tensor,
    tile: tuple[int, int, int, int],
    image_size: tuple[int, int],
    overlap: int,
    margin: float,
) -> torch.Tensor:
    """Which boxes are fragments of an object that a neighbouring tile shows whole.

    A box that touches an interior edge of its tile and reaches less than ``overlap`` into the tile
    begins inside the neighbour, which therefore sees all of it (an object longer than a tile
    excepted). A box that reaches further may have no whole copy and is kept, as is every box at
    the image's own border.

    Args:
        boxes: (N, 4) XYXY in the tile's frame.
        tile: (x0, y0, x1, y1) in image pixels.
        image_size: (h, w).
        overlap: overlap that the plan guarantees.
        margin: a box closer than this to an edge touches it.

    Returns:
        (N,) bool, true for fragments.
    """
    x0, y0, x1, y1 = tile
    height, width = image_size
    interior = boxes.new_tensor([x0 > 0, y0 > 0, x1 < width, y1 < height], dtype=torch.bool)
    limits = boxes.new_tensor([margin, margin, x1 - x0 - margin, y1 - y0 - margin])
    touches = torch.cat([boxes[:, :2] <= limits[:2], boxes[:, 2:] >= limits[2:]], dim=1) & interior
    # Measured from the edge itself, not from the box's own side, which may stop short of it.
    reach = torch.stack(
        [boxes[:, 2], boxes[:, 3], (x1 - x0) - boxes[:, 0], (y1 - y0) - boxes[:, 1]], dim=1
    )
    # Strictly less: at equality the neighbour takes the same box for a fragment, and none is left.
    return (touches & (reach < overlap - margin)).any(dim=1)
