"""Tiles: their positions in an image, tiles for training, and boxes cut by the seams of tiles.

Pure functions on NumPy arrays and tensors. A tile is (x0, y0, x1, y1) in integer image pixels, end
exclusive. Sizes are (h, w).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from smallobj.checks import check_between


def plan_tiles(
    image_size: tuple[int, int], tile: int, overlap: int, multiple: int = 32
) -> np.ndarray:
    """Covers an image with the fewest tiles of one size, which is as small as possible.

    Neighbouring tiles share at least ``overlap`` pixels along each axis, so an object whose sides
    are both at most ``overlap`` lies whole in at least one tile.

    >>> plan_tiles((60, 100), tile=60, overlap=20, multiple=1).tolist()
    [[0, 0, 60, 60], [40, 0, 100, 60]]

    Args:
        image_size: (h, w) of the image.
        tile: longest side of a tile.
        overlap: least overlap of neighbouring tiles, 0 <= overlap < tile.
        multiple: sides are rounded up to a multiple of it, but not above ``tile`` and the image's
            side, since detectors pad their input to the stride of their coarsest features.

    Returns:
        (T, 4) int64, row by row from the top left; all T tiles have the same size.

    Raises:
        ValueError: the image is empty, or the overlap lies outside [0, tile).
    """
    height, width = image_size
    if height < 1 or width < 1:
        raise ValueError(f"an image has at least one pixel a side; got (h, w) = {image_size}")
    check_between("the overlap", overlap, 0, tile, "[)")
    ys, tile_height = _spread(height, tile, overlap, multiple)
    xs, tile_width = _spread(width, tile, overlap, multiple)
    y0, x0 = (grid.ravel() for grid in np.meshgrid(ys, xs, indexing="ij"))
    return np.stack([x0, y0, x0 + tile_width, y0 + tile_height], axis=1)


def tiles_along(
    length: np.ndarray | int, tile: np.ndarray | int, overlap: int, multiple: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """Number and side of the tiles of :func:`plan_tiles` along one axis; broadcasts.

    Args:
        length: of the image along the axis.
        tile, overlap, multiple: as :func:`plan_tiles`.
    """
    count = np.where(length <= tile, 1, -((overlap - length) // (tile - overlap)))
    needed = -(-(length + (count - 1) * overlap) // count)
    rounded = -(-needed // multiple) * multiple
    return count, np.minimum(rounded, np.minimum(tile, length))


def _spread(length: int, tile: int, overlap: int, multiple: int) -> tuple[np.ndarray, int]:
    """Starts of the tiles along one axis, and their side."""
    count, side = (int(value) for value in tiles_along(length, tile, overlap, multiple))
    # Integer arithmetic, since rounded float positions could make two tiles overlap too little.
    return np.arange(count, dtype=np.int64) * (length - side) // max(count - 1, 1), side


def visible_fraction(boxes: np.ndarray, tile: np.ndarray) -> np.ndarray:
    """Share of each box's area that lies in a tile.

    >>> visible_fraction(np.array([[0.0, 0, 10, 10]]), np.array([5, 0, 100, 100])).tolist()
    [0.5]

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
    """A tile at a random position that contains a box, entirely if it fits.

    Args:
        rng: random generator.
        image_size: (h, w).
        box: (4,) XYXY in image pixels.
        tile: side of the tile.
        jitter: 0 centres the tile on the box, 1 allows every position that contains the whole box.

    Returns:
        (4,) int64, inside the image; clipped along an image side shorter than ``tile``.
    """
    start = []
    for axis, length in ((0, image_size[1]), (1, image_size[0])):
        low, high = box[axis], box[axis + 2]
        slack = max(tile - (high - low), 0.0) / 2 * jitter
        origin = round((low + high - tile) / 2 + rng.uniform(-slack, slack))
        # Rounding must not cut a box that fits into the tile.
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
    """A random tile without boxes, or the one of several attempts that shows the least of them.

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
    """Random tiles for training, each on the next object or on background.

    Objects are taken from a random permutation, so all are used before any is used twice.

    Args:
        rng: random generator.
        image_size: (h, w).
        boxes: (N, 4) XYXY in image pixels; N = 0 gives background only.
        tile, jitter: as :func:`place_on_box`.
        count: number of tiles.
        background_ratio: probability that a tile is placed on background.

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
    boxes: torch.Tensor, tiles: torch.Tensor, image_size: tuple[int, int], margin: float
) -> torch.Tensor:
    """Whether each box touches a seam: an edge of its tile that is inside the image.

    Such a box may be a fragment of an object that continues beyond the edge.

    Args:
        boxes: (N, 4) XYXY in image pixels.
        tiles: (N, 4), the tile in which each box was detected, or (4,) for all.
        image_size: (h, w); the image's border is no seam.
        margin: largest distance from an edge, in pixels, at which a box touches it.

    Returns:
        (N,) bool.
    """
    height, width = image_size
    tiles = tiles.to(boxes)
    begins = (tiles[..., :2] > 0) & (boxes[:, :2] <= tiles[..., :2] + margin)
    ends = (tiles[..., 2:] < boxes.new_tensor([width, height])) & (
        boxes[:, 2:] >= tiles[..., 2:] - margin
    )
    return (begins | ends).any(dim=1)


def superseded(
    boxes: torch.Tensor,
    tiles: torch.Tensor,
    cut: torch.Tensor,
    pairs: tuple[torch.Tensor, torch.Tensor],
    min_iou: float,
) -> torch.Tensor:
    """Whether each cut box is a fragment of an object that another tile shows whole.

    A box is a whole copy of a fragment if, clipped to the fragment's tile, it coincides with the
    fragment. So a nut that lies on a ruler is no fragment of the ruler, whatever the classes. A cut
    box without a whole copy, because the neighbouring tile found nothing, is not a fragment.

    Args:
        boxes: (N, 4) XYXY in image pixels.
        tiles: (N, 4), the tile in which each box was detected.
        cut: (N,) bool, the result of :func:`cut_by_seam`.
        pairs: two (P,) int64, the pairs of overlapping boxes, each once in either order.
        min_iou: least IoU at which a fragment and the clipped copy coincide.

    Returns:
        (N,) bool, never true for a box that is not cut.
    """
    first, second = pairs
    # Only pairs of a cut and a whole box matter.
    mixed = cut[first] != cut[second]
    first, second = first[mixed], second[mixed]
    fragment = torch.where(cut[first], first, second)
    copy = first + second - fragment
    window = tiles[fragment].to(boxes)
    clipped = boxes[copy]
    clipped = torch.cat(
        [
            torch.maximum(clipped[:, :2], window[:, :2]),
            torch.minimum(clipped[:, 2:], window[:, 2:]),
        ],
        1,
    )
    common = torch.minimum(clipped[:, 2:], boxes[fragment, 2:]) - torch.maximum(
        clipped[:, :2], boxes[fragment, :2]
    )
    intersection = common.clamp(min=0).prod(dim=1)
    union = _areas(clipped) + _areas(boxes[fragment]) - intersection
    elsewhere = (tiles[copy] != tiles[fragment]).any(dim=1)
    coincide = elsewhere & (intersection > 0) & (intersection >= min_iou * union)
    result = torch.zeros_like(cut)
    result[fragment[coincide]] = True
    return result


def _areas(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
