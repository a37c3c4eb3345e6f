"""Regions: the parts of an image to process, chosen by a heat map of where objects may be.

Pure functions. A region is (x0, y0, x1, y1) in integer image pixels, end exclusive, like a tile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The search stops at this share of the allowed area: finding the last cell that still fits would
# take as long as a convolution.
_NEARLY = 0.95


def choose_regions(
    heat: np.ndarray,
    side: np.ndarray,
    stride: int,
    image_size: tuple[int, int],
    *,
    threshold: float,
    windows: Sequence[int],
    margins: Sequence[int],
    max_area: float,
) -> np.ndarray:
    """A small set of windows that contain each hot cell with a margin for its object's size.

    If the windows would cover more than ``max_area`` of the image, the coolest cells are dropped.
    The search stops when the windows cover between 95% and 100% of ``max_area``, if any number of
    cells gives that.

    Each hot cell is assigned to the first kind of window whose margin is at least the expected side
    of its object, or else to the last kind. The largest windows are placed first; cells that
    already lie in them with their margin need no other window. The cells of a kind are then covered
    greedily from the top row down: of all windows that contain the next cell, the one with the most
    uncovered cells is taken. Each window is finally centred on its cells.

    Args:
        heat: (h, w) in [0, 1]; cell (i, j) covers image pixels from (x, y) = (j, i) * stride on.
        side: (h, w), expected longer side of an object at each cell, in pixels.
        stride: side of a cell in pixels.
        image_size: (H, W) of the image.
        threshold: cells of at least this heat are hot.
        windows: side of each kind of window, in pixels, increasing. Windows are clipped to the
            image's sides.
        margins: margin of each kind, in pixels, increasing; may be smaller at the image's border.
        max_area: largest total area, as :func:`area_share` measures it.

    Returns:
        (T, 4) int64 inside the image, largest windows first; T = 0 if no cell is hot.

    Raises:
        ValueError: windows or margins are not increasing, or a window is smaller than a cell and
            its margins.
    """
    check_windows(windows, margins, stride)
    kind = np.searchsorted(np.array(margins[:-1]), side)

    def cover(hot: np.ndarray) -> np.ndarray:
        return _cover_kinds(hot, kind, stride, image_size, windows, margins)

    regions = cover(heat >= threshold)
    if area_share(regions, image_size) <= max_area:
        return regions
    cells = np.flatnonzero(heat >= threshold)
    cells = cells[np.argsort(-heat.ravel()[cells], kind="stable")]
    regions, low, high = regions[:0], 0, len(cells)
    # Bisection: the hottest ``low`` cells fit, the hottest ``high`` do not.
    while high - low > 1 and area_share(regions, image_size) < _NEARLY * max_area:
        count = (low + high) // 2
        hot = np.zeros(heat.size, dtype=bool)
        hot[cells[:count]] = True
        attempt = cover(hot.reshape(heat.shape))
        if area_share(attempt, image_size) <= max_area:
            regions, low = attempt, count
        else:
            high = count
    return regions


def _cover_kinds(
    hot: np.ndarray,
    kind: np.ndarray,
    stride: int,
    image_size: tuple[int, int],
    windows: Sequence[int],
    margins: Sequence[int],
) -> np.ndarray:
    """Windows (T, 4) that cover the hot cells (h, w), given each cell's kind of window (h, w)."""
    chosen = np.zeros((0, 4), dtype=np.int64)
    for index in reversed(range(len(windows))):
        cells = np.argwhere(hot & (kind == index))
        grown = _grow(cells, stride, margins[index])
        cells = cells[~lies_whole_in_any(grown, chosen, image_size, 0)]
        uncovered = np.zeros_like(hot)
        uncovered[tuple(cells.T)] = True
        groups = _cover(uncovered, (windows[index] - 2 * margins[index]) // stride) * stride
        chosen = np.concatenate([chosen, _place(groups, windows[index], image_size)])
    return chosen


def check_windows(windows: Sequence[int], margins: Sequence[int], stride: int) -> None:
    """Checks the kinds of windows of :func:`choose_regions`.

    Raises:
        ValueError: as :func:`choose_regions`.
    """
    rising = all(list(sides) == sorted(sides) for sides in (windows, margins))
    if not windows or len(windows) != len(margins) or not rising or margins[0] < 0:
        raise ValueError(
            "TEST.FOCUS.WINDOWS and MARGINS must have equally many numbers, from small to large, "
            f"and margins must not be negative; got {list(windows)} and {list(margins)}"
        )
    for window, margin in zip(windows, margins, strict=True):
        if window < stride + 2 * margin:
            raise ValueError(
                "a window holds a cell and a margin on both sides, so each of TEST.FOCUS.WINDOWS "
                f"must be at least {stride} + 2 x its margin; got {window} and {margin}"
            )


def _grow(cells: np.ndarray, stride: int, margin: int) -> np.ndarray:
    """Boxes (N, 4) XYXY, in pixels, of cells (N, 2) (row, column) with their margins."""
    start = cells[:, ::-1] * stride
    return np.concatenate([start - margin, start + stride + margin], axis=1)


def _place(groups: np.ndarray, window: int, image_size: tuple[int, int]) -> np.ndarray:
    """Windows (T, 4) centred on groups (T, 4) XYXY, moved into the image."""
    height, width = image_size
    sides = np.array([min(window, width), min(window, height)])
    # Twice the centre, to stay with integers. A cell at the border may extend beyond the image.
    centre = groups[:, :2] + np.minimum(groups[:, 2:], [width, height])
    start = np.clip((centre - sides) // 2, 0, np.array([width, height]) - sides)
    return np.concatenate([start, start + sides], axis=1)


def _cover(hot: np.ndarray, reach: int) -> np.ndarray:
    """Extents (T, 4) XYXY, in cells, of groups of hot cells that each fit into reach x reach."""
    uncovered = np.pad(hot, ((0, reach), (reach, reach)))
    rows, columns = np.nonzero(uncovered)
    ones = np.ones(reach, dtype=np.int64)
    extents = []
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        if not uncovered[y, x]:
            continue
        # All cells in the rows above are covered, so the best square starts in this cell's row.
        strip = uncovered[y : y + reach, x - reach + 1 : x + reach]
        counts = np.convolve(strip.sum(axis=0), ones, mode="valid")
        # Of equal counts the rightmost, since cells to the left in this row are covered.
        first = x - reach + 1 + len(counts) - 1 - int(np.argmax(counts[::-1]))
        square = uncovered[y : y + reach, first : first + reach]
        ys, xs = np.nonzero(square)
        extents.append([first + xs.min(), y, first + xs.max() + 1, y + ys.max() + 1])
        square[...] = False
    return np.array(extents, dtype=np.int64).reshape(-1, 4) - np.array([reach, 0, reach, 0])


def lies_whole_in_any(
    boxes: np.ndarray, regions: np.ndarray, image_size: tuple[int, int], spare: float
) -> np.ndarray:
    """Whether each box lies entirely in at least one region, with a distance to its edges.

    >>> regions = np.array([[100, 100, 200, 200]])
    >>> boxes = np.array([[110.0, 110, 150, 150], [90, 110, 150, 150]])
    >>> lies_whole_in_any(boxes, regions, (640, 960), spare=4).tolist()
    [True, False]

    Args:
        boxes: (N, 4) XYXY in image pixels.
        regions: (T, 4).
        image_size: (H, W); no distance is needed at the image's border.
        spare: least distance, in pixels, of the box from the region's edges.

    Returns:
        (N,) bool.
    """
    height, width = image_size
    padded = np.concatenate(
        [
            np.maximum(boxes[:, :2] - spare, 0),
            np.minimum(boxes[:, 2:] + spare, [width, height]),
        ],
        axis=1,
    )
    after = np.all(padded[:, None, :2] >= regions[None, :, :2], axis=2)
    before = np.all(padded[:, None, 2:] <= regions[None, :, 2:], axis=2)
    inside: np.ndarray = np.any(after & before, axis=1)
    return inside


def area_share(regions: np.ndarray, image_size: tuple[int, int]) -> float:
    """Sum of the regions' areas, with overlaps counted repeatedly, divided by the image's area.

    >>> area_share(np.array([[0, 0, 10, 10], [0, 0, 10, 10]]), (20, 20))
    0.5
    """
    sides = regions[:, 2:] - regions[:, :2]
    return float(sides.prod(axis=1).sum()) / (image_size[0] * image_size[1])
