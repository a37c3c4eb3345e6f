"""Labels beside boxes, placed where they hide the least; lines link them to distant boxes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from smallobj.results.class_colors import Color, ink_on

_WEIGHT = 500
# Possible distances of a label from its box, in heights of the label.
_DISTANCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
# Cost of one height of distance, in shares of a hidden box.
_PRICE_OF_DISTANCE = 0.15
# Strict labels hide at most this share of a box or label each, and this share of a box together.
_MOST_HIDDEN = 0.03
_MOST_HIDDEN_TOGETHER = 0.1


class Label(NamedTuple):
    """A text with its size in pixels, margin included; width 0 if there is no text or no room."""

    text: str
    width: int
    height: int


def write_text(picture: np.ndarray, text: str, x: int, y: int, ink: Color, letter: int) -> None:
    """Writes a line of text, ``letter`` pixels high, with its top left corner at (x, y)."""
    baseline = y + round(letter * 0.85)
    cv2.putText(picture, text, (x, baseline), ink, _font(), letter, _WEIGHT)


def text_width(text: str, letter: int) -> int:
    """Width of a line of text in pixels."""
    return int(cv2.getTextSize((0, 0), text, (0, 0), _font(), letter, _WEIGHT)[2])


@functools.cache
def _font() -> Any:
    # OpenCV's built-in variable font, with a fallback font for other scripts.
    return cv2.FontFace("sans")


def label_margin(letter: int) -> int:
    """Pixels between a label's text and its edge."""
    return max(1, letter // 5)


def measure_labels(texts: Sequence[str], letter: int, most: int) -> list[Label]:
    """Sizes of labels, at most ``most`` pixels wide.

    A text that is too wide loses its last word; still too wide, the label gets the width 0.
    """
    known = {text: _measure(text, letter, most) for text in set(texts)}
    return [known[text] for text in texts]


def _measure(text: str, letter: int, most: int) -> Label:
    margin = label_margin(letter)
    for candidate in (text, text.rsplit(" ", 1)[0]):
        width = text_width(candidate, letter) + 2 * margin if candidate else 0
        if candidate and width <= most:
            return Label(candidate, width, letter + 2 * margin)
    return Label(text, 0, 0)


def place_labels(frames: np.ndarray, labels: Sequence[Label], size: tuple[int, int]) -> np.ndarray:
    """Places of all labels, where they hide the least; the last label first.

    Args:
        frames: (N, 4) XYXY, which labels should not hide.
        labels: N measured labels.
        size: (h, w) of the picture.

    Returns:
        (N, 4) int XYXY inside the picture; zeros for a label of width 0.
    """
    places = np.zeros((len(labels), 4), dtype=int)
    obstacles = np.vstack([frames, np.zeros_like(frames)])
    for index in reversed(range(len(labels))):
        if not labels[index].width:
            continue
        candidates, price = _candidates(frames[index], labels[index], size)
        boxes = obstacles[_near(candidates, obstacles)]
        # A small box that is hidden counts as much as a label completely inside a large box.
        areas = np.minimum(_areas(boxes), _areas(candidates[:1]))
        cost = price + (_overlaps(candidates, boxes) / areas).sum(axis=1)
        places[index] = obstacles[len(frames) + index] = candidates[int(cost.argmin())].round()
    return places


def place_strictly(
    frames: np.ndarray,
    labels: Sequence[Label],
    size: tuple[int, int],
    most_left_out: int,
    distant: bool = True,
) -> np.ndarray | None:
    """Places of the labels that hide hardly anything, and that belong to their frames clearly.

    A label covers no other label and hardly anything of any frame, and none is as close to it as
    its own.

    Args:
        frames, labels, size: as :func:`place_labels`.
        most_left_out: number of labels that may be left out for want of room.
        distant: a label may lie away from its frame, tied to it by a line.

    Returns:
        (N, 4) int XYXY, zeros for a label that is left out; None if more have to be left out.
    """
    places = np.zeros((len(labels), 4), dtype=int)
    room = _Room(frames)
    left_out = 0
    for index in reversed(range(len(labels))):
        if not labels[index].text:
            continue
        if labels[index].width:
            candidates, price = _candidates(frames[index], labels[index], size)
            cost = price + room.cost(candidates, index)
            cost[(price > 0) & (not distant)] = np.inf
            best = int(cost.argmin())
            if np.isfinite(cost[best]):
                places[index] = candidates[best].round()
                room.take(index, places[index])
                continue
        left_out += 1
        if left_out > most_left_out:
            return None
    return places


class _Room:
    """What labels must not hide: frames and the labels placed so far."""

    def __init__(self, frames: np.ndarray) -> None:
        self._count = len(frames)
        self._obstacles = np.vstack([frames, np.zeros_like(frames)])
        self._hidden = np.zeros(len(self._obstacles))

    def cost(self, candidates: np.ndarray, index: int) -> np.ndarray:
        """(C,) what places (C, 4) for the label of a frame hide; infinite if that is too much."""
        height = candidates[0, 3] - candidates[0, 1]
        grown = candidates + max(1, height // 8) * np.array([-1, -1, 1, 1])
        near = _near(grown, self._obstacles)
        boxes, own = self._obstacles[near], self._obstacles[index]
        touched = _overlaps(grown, boxes)
        is_label = near >= self._count
        # A frame that overlaps the label's own can't be told from it by distance.
        is_apart = np.maximum(boxes[:, :2], own[:2]) >= np.minimum(boxes[:, 2:], own[2:])
        is_other = ~is_label & is_apart.any(axis=1)
        others, mine = (
            touched[:, rows].max(axis=1, initial=0) for rows in (is_other, near == index)
        )
        shares = _overlaps(candidates, boxes) / _areas(boxes)
        hides = (shares > _MOST_HIDDEN) | (
            (shares > 0) & (self._hidden[near] + shares > _MOST_HIDDEN_TOGETHER)
        )
        is_taken = (touched[:, is_label] > 0).any(axis=1) | hides.any(axis=1) | (others > mine)
        return np.where(is_taken, np.inf, shares.sum(axis=1))

    def take(self, index: int, place: np.ndarray) -> None:
        """Places the label of a frame."""
        near = _near(place[None], self._obstacles)
        boxes = self._obstacles[near]
        self._hidden[near] += _overlaps(place[None], boxes)[0] / _areas(boxes)
        self._obstacles[self._count + index] = place


def _candidates(
    frame: np.ndarray, label: Label, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Places (C, 4) XYXY for a label around its frame, by preference, and their costs (C,)."""
    x0, y0, x1, y1 = frame
    width, height = label.width, label.height
    left, right, top, bottom = x0 - width, x1 - width, y0 - height, y1 - height
    # x, y of the label's top left corner, and the direction away from the frame.
    starts = np.array(
        [
            (x0, top, 0, -1),
            (right, top, 0, -1),
            (x0, y1, 0, 1),
            (right, y1, 0, 1),
            (x1, y0, 1, 0),
            (left, y0, -1, 0),
            (x1, bottom, 1, 0),
            (left, bottom, -1, 0),
            (x1, top, 1, -1),
            (left, top, -1, -1),
            (x1, y1, 1, 1),
            (left, y1, -1, 1),
        ]
    )
    steps = np.array(_DISTANCES)[:, None, None] * height
    corners = (starts[:, :2] + steps * starts[:, 2:]).reshape(-1, 2)
    limit = (np.array([size[1], size[0]]) - [width, height]).clip(0)
    corners = corners.clip(0, limit)
    price = np.repeat(_DISTANCES, len(starts)) * _PRICE_OF_DISTANCE
    return np.hstack([corners, corners + np.array([width, height])]), price


def _near(candidates: np.ndarray, obstacles: np.ndarray) -> np.ndarray:
    """(M,) indices of the obstacles (N, 4) that some candidate (C, 4) may hide."""
    low, high = candidates[:, :2].min(axis=0), candidates[:, 2:].max(axis=0)
    is_near = (obstacles[:, :2] < high).all(axis=1) & (obstacles[:, 2:] > low).all(axis=1)
    return np.flatnonzero(is_near)


def _overlaps(candidates: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(C, M) areas that candidates (C, 4) hide of boxes (M, 4)."""
    corner = np.maximum(candidates[:, None, :2], boxes[None, :, :2])
    opposite = np.minimum(candidates[:, None, 2:], boxes[None, :, 2:])
    return (opposite - corner).clip(0).prod(axis=2)


def _areas(boxes: np.ndarray) -> np.ndarray:
    """(M,) areas, 1 at least."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(1)


def draw_labels(
    picture: np.ndarray,
    frames: np.ndarray,
    labels: Sequence[Label],
    places: np.ndarray,
    colors: Sequence[Color],
    letter: int,
) -> None:
    """Draws labels, and lines that tie them to distant frames, into a picture (H, W, 3) BGR.

    Args:
        picture: is changed.
        frames: (N, 4) XYXY.
        labels: N measured labels.
        places: (N, 4) as :func:`place_labels` returns them.
        colors: N colours in BGR.
        letter: height of a line of text in pixels.
    """
    margin = label_margin(letter)
    shown = np.flatnonzero(places.any(axis=1)).tolist()
    for n in shown:
        _draw_tie(picture, places[n], frames[n], colors[n], letter)
    for n in shown:
        x0, y0, x1, y1 = places[n].tolist()
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colors[n], cv2.FILLED)
        write_text(picture, labels[n].text, x0 + margin, y0 + margin, ink_on(colors[n]), letter)


def _draw_tie(
    picture: np.ndarray, place: np.ndarray, frame: np.ndarray, color: Color, letter: int
) -> None:
    """Draws a line between the nearest points of label and frame, unless the two touch."""
    low = np.maximum(place[:2], frame[:2])
    high = np.minimum(place[2:], frame[2:])
    if (low - high).max() <= max(2, letter // 4):
        return
    middle = (low + high) / 2
    start, end = (middle.clip(rect[:2], rect[2:]).round().astype(int) for rect in (place, frame))
    cv2.line(picture, start.tolist(), end.tolist(), color, max(1, letter // 20), cv2.LINE_AA)
