"""Frames around boxes: as wide as object and picture allow, outside the objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from smallobj.results.class_colors import Color, contrast_of

# Pixels per pixel of line width: of the picture's longer side, and of the object's.
_PICTURE_PER_LINE = 900
_OBJECT_PER_LINE = 12
# Distances to neighbours are not measured for more boxes than these: all lines are thin then.
_MOST_MEASURED = 100_000
_CHUNK = 256


class Widths(NamedTuple):
    """Widths of frames.

    Attributes:
        lines: (N,) int, width of the coloured line in pixels.
        rings: (N,) bool, whether a ring of 1 px is drawn around the line, for contrast.
    """

    lines: np.ndarray
    rings: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(N,) width of line and ring together."""
        return self.lines + self.rings


def picture_line(size: tuple[int, int]) -> int:
    """The widest line in a picture of ``size`` (h, w)."""
    # One pixel of colour beside the ring is hard to see, except in the smallest pictures.
    return max(2 if max(size) >= 200 else 1, round(max(size) / _PICTURE_PER_LINE))


def frame_widths(size: tuple[int, int], boxes: np.ndarray, line: int | None = None) -> Widths:
    """Widths of the frames, limited by the gap to the nearest box that a frame could cover.

    Args:
        size: (h, w) of the picture.
        boxes: (N, 4) XYXY.
        line: a width for all lines; None: chosen for each.
    """
    if line is not None:
        return Widths(np.full(len(boxes), line), np.ones(len(boxes), bool))
    if len(boxes) > _MOST_MEASURED:
        return Widths(np.ones(len(boxes), int), np.zeros(len(boxes), bool))
    widest = picture_line(size)
    gaps = neighbour_gaps(boxes, widest + 1)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    wanted = (longest / _OBJECT_PER_LINE).round().clip(min(widest, 2), widest)
    return Widths((gaps - 1).clip(1, wanted).astype(int), gaps >= 2)


def neighbour_gaps(boxes: np.ndarray, most: int) -> np.ndarray:
    """(N,) distance of each box to the nearest that it doesn't overlap, in whole pixels.

    Measured as the larger of the distances in x and y, between the pixels that the boxes touch.
    Boxes that overlap cross each other's frames whatever their width. Distances above ``most``
    need not be exact.
    """
    low, high = np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])
    gaps = np.full(len(boxes), np.inf)
    order = low[:, 0].argsort()
    for start in range(0, len(boxes), _CHUNK):
        part = order[start : start + _CHUNK]
        near = low[:, 0] <= high[part, 0].max() + most
        near &= high[:, 0] >= low[part, 0].min() - most
        sides = low[part, None] - high[near][None], low[near][None] - high[part, None]
        apart = np.maximum(*sides).max(axis=2)
        gaps[part] = np.where(apart < 0, np.inf, apart).min(axis=1, initial=np.inf)
    return gaps


def draw_frames(
    picture: np.ndarray, boxes: np.ndarray, colors: Sequence[Color], widths: Widths
) -> None:
    """Draws frames around the boxes (N, 4) into a picture (H, W, 3); the last on top."""
    lows = np.floor(boxes[:, :2]).astype(int)
    highs = np.ceil(boxes[:, 2:]).astype(int) - 1

    def draw_line(n: int, distance: int, color: Color) -> None:
        # Lines of one pixel around the box, as a thick rectangle would cover the object.
        low, high = (lows[n] - distance).tolist(), (highs[n] + distance).tolist()
        cv2.rectangle(picture, low, high, color, 1)

    # No ring hides a neighbour's line.
    for n in np.flatnonzero(widths.rings).tolist():
        draw_line(n, int(widths.lines[n]) + 1, contrast_of(colors[n]))
    for n, line in enumerate(widths.lines.tolist()):
        for distance in range(1, line + 1):
            draw_line(n, distance, colors[n])
