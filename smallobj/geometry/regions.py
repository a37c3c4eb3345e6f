"""Regions: which parts of an image to read where a heat map says that objects may lie.

Pure functions. A region is (x0, y0, x1, y1) in image pixels, integer, end exclusive; so is a tile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# A cover of so much of the area that is allowed is good enough: the search for the last cell that
# still fits takes as long as a convolution.
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
    """Few windows that hold each hot cell whole, and a margin around it that suits its object.

    Where that would be more than ``max_area`` of the image, the coolest cells are given up, until
    between 95% and all of it are read, if any number of cells comes to that.

    A hot cell goes to the first kind of window whose margin is at least the side that its object is
    expected to have, or to the last kind. The largest windows are placed first, and cells that
    they happen to serve need no window of their own. Cells of one kind are covered one after
    another, from the top row down: of the windows that hold the next one, that which holds most of
    the others yet to be covered. Each window is then centred on what it holds.

    Args:
        heat: (h, w) in [0, 1]; cell (i, j) stands for image pixels from (j, i) * stride on.
        side: (h, w), expected longer side of an object at that cell, in pixels.
        stride: side of a cell in pixels.
        image_size: (H, W) of the image.
        threshold: cells of at least this heat are hot.
        windows: sides of the kinds of windows, rising; along an image side shorter than a window,
            that side.
        margins: pixels, one for each kind, rising. Around cells at the image's border there may be
            fewer.
        max_area: as :func:`area_share` counts.

    Returns:
        (T, 4) int64 inside the image, sorted by size, largest first; T = 0 where nothing is hot.

    Raises:
        ValueError: windows or margins don't rise, or a window doesn't hold a cell and its margins.
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
    # The hottest ``low`` cells fit, the hottest ``high`` don't; each try halves what is between.
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
    """Windows (T, 4) for the hot cells (h, w), each of the kind (h, w) that it goes to."""
    chosen = np.zeros((0, 4), dtype=np.int64)
    for index in reversed(range(len(windows))):
        cells = np.argwhere(hot & (kind == index))
        grown = _grow(cells, stride, margins[index])
        cells = cells[~lies_whole_in_any(grown, chosen, image_size, 0)]
        left = np.zeros_like(hot)
        left[tuple(cells.T)] = True
        groups = _cover(left, (windows[index] - 2 * margins[index]) // stride) * stride
        chosen = np.concatenate([chosen, _place(groups, windows[index], image_size)])
    return chosen


def check_windows(windows: Sequence[int], margins: Sequence[int], stride: int) -> None:
    """
    Raises:
        ValueError: as :func:`choose_regions`.
    """
    rising = all(list(sides) == sorted(sides) for sides in (windows, margins))
    if not windows or len(windows) != len(margins) or not rising or margins[0] < 0:
        raise ValueError(
            "TEST.FOCUS.WINDOWS and MARGINS need as many numbers each, from small to large, "
            f"margins not negative; got {list(windows)} and {list(margins)}"
        )
    for window, margin in zip(windows, margins, strict=True):
        if window < stride + 2 * margin:
            raise ValueError(
                "a window holds a cell and a margin on both sides, so each of TEST.FOCUS.WINDOWS "
                f"must be at least {stride} + 2 x its margin; got {window} and {margin}"
            )


def _grow(cells: np.ndarray, stride: int, margin: int) -> np.ndarray:
    """Cells (N, 2), row and column, and their margins: (N, 4) XYXY in pixels."""
    start = cells[:, ::-1] * stride
    return np.concatenate([start - margin, start + stride + margin], axis=1)


def _place(groups: np.ndarray, window: int, image_size: tuple[int, int]) -> np.ndarray:
    """A window (T, 4) about the middle of each group (T, 4) XYXY, moved into the image."""
    height, width = image_size
    sides = np.array([min(window, width), min(window, height)])
    # Twice the centre, for whole numbers; a cell at the border may stick out of the image.
    centre = groups[:, :2] + np.minimum(groups[:, 2:], [width, height])
    start = np.clip((centre - sides) // 2, 0, np.array([width, height]) - sides)
    return np.concatenate([start, start + sides], axis=1)


def _cover(hot: np.ndarray, reach: int) -> np.ndarray:
    """Extents (T, 4) XYXY, in cells, of groups of hot cells that fit into reach x reach each."""
    left = np.pad(hot, ((0, reach), (reach, reach)))
    rows, columns = np.nonzero(left)
    every = np.ones(reach, dtype=np.int64)
    extents = []
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        if not left[y, x]:
            continue
        # Rows above are done, so a square that holds this cell and is of use begins in its row.
        strip = left[y : y + reach, x - reach + 1 : x + reach]
        counts = np.convolve(strip.sum(axis=0), every, mode="valid")
        # Of equals the rightmost: what lies to the left in this row is done.
        first = x - reach + 1 + len(counts) - 1 - int(np.argmax(counts[::-1]))
        square = left[y : y + reach, first : first + reach]
        ys, xs = np.nonzero(square)
        extents.append([first + xs.min(), y, first + xs.max() + 1, y + ys.max() + 1])
        square[...] = False
    return np.array(extents, dtype=np.int64).reshape(-1, 4) - np.array([reach, 0, reach, 0])


def lies_whole_in_any(
    boxes: np.ndarray, regions: np.ndarray, image_size: tuple[int, int], spare: float
) -> np.ndarray:
    """Which boxes at least one region holds whole, with a few pixels to spare.

    Args:
        boxes: (N, 4) XYXY in image pixels.
        regions: (T, 4).
        image_size: (H, W); at the image's own border nothing needs to be spared.
        spare: pixels between the box and the region's edges.

    Returns:
        (N,) bool.
    """
    height, width = image_size
    wanted = np.concatenate(
        [
            np.maximum(boxes[:, :2] - spare, 0),
            np.minimum(boxes[:, 2:] + spare, [width, height]),
        ],
        axis=1,
    )
    after = np.all(wanted[:, None, :2] >= regions[None, :, :2], axis=2)
    before = np.all(wanted[:, None, 2:] <= regions[None, :, 2:], axis=2)
    inside: np.ndarray = np.any(after & before, axis=1)
    return inside


def area_share(regions: np.ndarray, image_size: tuple[int, int]) -> float:
    """Sum of the regions' areas, overlaps counted each time, over the image's."""
    sides = regions[:, 2:] - regions[:, :2]
    return float(sides.prod(axis=1).sum()) / (image_size[0] * image_size[1])
