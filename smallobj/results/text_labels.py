"""Labels beside boxes, placed where they hide the least; lines link them to distant boxes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

Color = tuple[int, int, int]

_WEIGHT = 500
_INK_DARK: Color = (0, 0, 0)
_INK_LIGHT: Color = (255, 255, 255)
# Possible distances of a label from its box, in heights of the label.
_DISTANCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
# Cost of one height of distance, in shares of a hidden box.
_PRICE_OF_DISTANCE = 0.15


class _Label(NamedTuple):
    text: str
    width: int
    height: int


def draw_labels(
    picture: np.ndarray,
    frames: np.ndarray,
    labels: Sequence[str],
    colors: Sequence[Color],
    letter: int,
    line: int,
) -> None:
    """Draws labels into a picture; later ones are placed first and lie on top.

    Args:
        picture: (H, W, 3) uint8, BGR; is changed.
        frames: (N, 4) XYXY, which labels should not hide.
        labels: N texts in any language. A text too long for the picture loses its last word, and is
            left out if it is still too long.
        colors: N colours in BGR.
        letter: height of a line of text in pixels.
        line: width of a frame's line; the line from a label to a distant frame is half as wide.
    """
    margin = max(2, letter // 5)
    sized = [_measure(text, letter, margin, picture.shape[1]) for text in labels]
    places = _place(frames, sized, (picture.shape[0], picture.shape[1]))
    for place, frame, color in zip(places, frames, colors, strict=True):
        _draw_tie(picture, place, frame, color, line)
    for place, label, color in zip(places, sized, colors, strict=True):
        if label.text:
            x0, y0, x1, y1 = place.tolist()
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), color, cv2.FILLED)
            write_text(picture, label.text, x0 + margin, y0 + margin, _ink_on(color), letter)


def write_text(picture: np.ndarray, text: str, x: int, y: int, ink: Color, letter: int) -> None:
    """Writes a line of text, ``letter`` pixels high, with its top left corner at (x, y)."""
    baseline = y + round(letter * 0.85)
    cv2.putText(picture, text, (x, baseline), ink, _font(), letter, _WEIGHT)


@functools.cache
def _font() -> Any:
    # OpenCV's built-in variable font, with a fallback font for other scripts.
    return cv2.FontFace("sans")


def _ink_on(color: Color) -> Color:
    blue, green, red = color
    return _INK_DARK if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else _INK_LIGHT


def _measure(text: str, letter: int, margin: int, most: int) -> _Label:
    for candidate in (text, text.rsplit(" ", 1)[0]):
        size = cv2.getTextSize((0, 0), candidate, (0, 0), _font(), letter, _WEIGHT)
        width = int(size[2]) + 2 * margin
        if candidate and width <= most:
            return _Label(candidate, width, letter + 2 * margin)
    return _Label("", 0, 0)


def _place(frames: np.ndarray, labels: Sequence[_Label], size: tuple[int, int]) -> np.ndarray:
    """Places of the labels, (N, 4) XYXY, inside the image of ``size`` (h, w); the last first."""
    places = np.zeros((len(labels), 4), dtype=int)
    obstacles = frames
    for index in reversed(range(len(labels))):
        label = labels[index]
        if not label.text:
            continue
        candidates, price = _candidates(frames[index], label, size)
        cost = price + _hidden(candidates, obstacles)
        places[index] = candidates[int(cost.argmin())].round()
        obstacles = np.vstack([obstacles, places[index]])
    return places


def _candidates(
    frame: np.ndarray, label: _Label, size: tuple[int, int]
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


def _hidden(candidates: np.ndarray, obstacles: np.ndarray) -> np.ndarray:
    """How much of the obstacles (N, 4) each candidate hides, (C,): the sum of hidden shares.

    A share is the intersection divided by the smaller area of the two, so that a small box that is
    completely hidden counts as much as a label completely inside a large box.
    """
    low, high = candidates[:, :2].min(axis=0), candidates[:, 2:].max(axis=0)
    near = (obstacles[:, :2] < high).all(axis=1) & (obstacles[:, 2:] > low).all(axis=1)
    boxes = obstacles[near]
    corner = np.maximum(candidates[:, None, :2], boxes[None, :, :2])
    opposite = np.minimum(candidates[:, None, 2:], boxes[None, :, 2:])
    areas = (opposite - corner).clip(0).prod(axis=2)
    label_area = (candidates[0, 2:] - candidates[0, :2]).prod()
    box_areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return (areas / np.minimum(box_areas, label_area).clip(1)).sum(axis=1)


def _draw_tie(
    picture: np.ndarray, place: np.ndarray, frame: np.ndarray, color: Color, line: int
) -> None:
    """Draws a line between the nearest points of label and frame, unless the two touch."""
    low = np.maximum(place[:2], frame[:2])
    high = np.minimum(place[2:], frame[2:])
    if (low - high).max() <= 2 * line or not place.any():
        return
    middle = (low + high) / 2
    start, end = (middle.clip(rect[:2], rect[2:]).round().astype(int) for rect in (place, frame))
    cv2.line(picture, start.tolist(), end.tolist(), color, max(1, line // 2), cv2.LINE_AA)
