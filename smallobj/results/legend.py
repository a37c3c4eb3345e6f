"""A legend of classes, colours and counts: where it covers no object, or in a margin below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from smallobj.results.class_colors import Color, ink_on
from smallobj.results.text_labels import label_margin, text_width, write_text

_PAPER: Color = (255, 255, 255)
_INK: Color = (0, 0, 0)
_EDGE: Color = (90, 90, 90)
# The search for a free place works on a raster of about this many cells a side.
_CELLS = 1000
_SMALLEST_LETTER = 12
_SHRINKING = 0.75
# A legend covers at most this share of the picture; the margin has no limit.
_MOST_COVERED = 0.2


class LegendEntry(NamedTuple):
    """A class in a legend: its colour in BGR, its number as text or "", and its name and count."""

    color: Color
    number: str
    text: str


def add_legend(
    picture: np.ndarray, entries: Sequence[LegendEntry], occupied: np.ndarray, letter: int
) -> np.ndarray:
    """Draws a legend into a free place at the picture's edge, or else into a margin below.

    Args:
        picture: (H, W, 3) uint8 BGR; may be changed.
        entries: one at least.
        occupied: (M, 4) XYXY that the legend must not cover.
        letter: height of a line of text at most, in pixels.

    Returns:
        (H, W, 3), or (H + margin, W, 3); the picture's pixels stay where they are.
    """
    height, width = picture.shape[:2]
    raster = _Raster((height, width), occupied)
    usual = letter
    while letter >= _SMALLEST_LETTER:
        for columns in range(1, len(entries) + 1):
            panel = _panel(entries, letter, columns)
            is_small = panel.shape[0] * panel.shape[1] <= _MOST_COVERED * height * width
            place = raster.free_place(panel.shape[0], panel.shape[1]) if is_small else None
            if place is not None:
                x, y = place
                picture[y : y + panel.shape[0], x : x + panel.shape[1]] = panel
                return picture
        if letter == _SMALLEST_LETTER:
            break
        letter = max(round(letter * _SHRINKING), _SMALLEST_LETTER)
    return np.vstack([picture, draw_margin(entries, usual, width)])


def draw_margin(entries: Sequence[LegendEntry], letter: int, width: int) -> np.ndarray:
    """A legend (h, width, 3) uint8 BGR in few rows; cut off if one column is too wide."""
    columns = len(entries)
    while columns > 1 and _panel_width(entries, letter, columns) > width:
        columns -= 1
    panel = _panel(entries, letter, columns)[:, :width]
    return np.pad(panel, ((0, 0), (0, width - panel.shape[1]), (0, 0)), constant_values=255)


def _column_width(entries: Sequence[LegendEntry], letter: int) -> int:
    swatch = max(text_width(entry.number or "0", letter) for entry in entries)
    words = max(text_width(entry.text, letter) for entry in entries)
    return swatch + words + 6 * label_margin(letter)


def _panel_width(entries: Sequence[LegendEntry], letter: int, columns: int) -> int:
    return columns * _column_width(entries, letter) + 2


def _panel(entries: Sequence[LegendEntry], letter: int, columns: int) -> np.ndarray:
    """The legend (h, w, 3) uint8 BGR, filled column by column."""
    gap = label_margin(letter)
    column, row = _column_width(entries, letter), letter + 2 * gap
    rows = -(-len(entries) // columns)
    columns = -(-len(entries) // rows)
    panel = np.full((rows * row + 2, columns * column + 2, 3), _PAPER, dtype=np.uint8)
    swatch = max(text_width(entry.number or "0", letter) for entry in entries) + 2 * gap
    for n, entry in enumerate(entries):
        x, y = 1 + n // rows * column + gap, 1 + n % rows * row + 1
        cv2.rectangle(panel, (x, y), (x + swatch - 1, y + row - 3), entry.color, cv2.FILLED)
        write_text(panel, entry.number, x + gap, y + gap - 1, ink_on(entry.color), letter)
        write_text(panel, entry.text, x + swatch + gap, y + gap - 1, _INK, letter)
    cv2.rectangle(panel, (0, 0), (panel.shape[1] - 1, panel.shape[0] - 1), _EDGE, 1)
    return panel


class _Raster:
    """Cells of a picture, and whether anything lies in them."""

    def __init__(self, size: tuple[int, int], occupied: np.ndarray) -> None:
        self._size = size
        self._cell = -(-max(size) // _CELLS)
        cells = np.zeros((-(-size[0] // self._cell), -(-size[1] // self._cell)), np.uint8)
        low = np.floor(occupied[:, :2] / self._cell).clip(0).astype(int)
        high = np.ceil(occupied[:, 2:] / self._cell).astype(int)
        for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True):
            cells[y0 : max(y1, y0), x0 : max(x1, x0)] = 1
        self._sums = cv2.integral(cells)

    def free_place(self, height: int, width: int) -> tuple[int, int] | None:
        """(x, y) in pixels of the free place at an edge of the picture nearest to a corner."""
        # One cell more, as the place need not begin at the border of a cell.
        h, w = -(-height // self._cell) + 1, -(-width // self._cell) + 1
        sums = self._sums
        if h >= sums.shape[0] or w >= sums.shape[1]:
            return None
        counts = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
        last_y, last_x = (length - 1 for length in counts.shape)
        y, x = np.nonzero(counts == 0)
        at_edge = (x == 0) | (x == last_x) | (y == 0) | (y == last_y)
        y, x = y[at_edge], x[at_edge]
        if not len(x):
            return None
        best = int((np.minimum(x, last_x - x) + np.minimum(y, last_y - y)).argmin())
        limit_y, limit_x = self._size[0] - height, self._size[1] - width
        place_x = limit_x if x[best] == last_x else int(x[best]) * self._cell
        place_y = limit_y if y[best] == last_y else int(y[best]) * self._cell
        return min(place_x, limit_x), min(place_y, limit_y)
