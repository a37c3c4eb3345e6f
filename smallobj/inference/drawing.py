"""Pictures with boxes: thin frames around small objects, labels beside them, never upon them.

Sizes of lines and letters follow the image, because a photograph of 2800 px is looked at on a
screen of half as many. Drawn by OpenCV, which takes a twentieth of the time of Detectron2's
Visualizer (Matplotlib).
"""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from detectron2.structures import BoxMode, Instances

from smallobj.data.image_file import read_image

Color = tuple[int, int, int]

# One letter height, and one pixel of line, per so many pixels of the image's longer side.
_PIXELS_PER_LETTER = 90
_PIXELS_PER_LINE = 1000
_SMALLEST_LETTER = 12
_SEMIBOLD = 500
_BLACK: Color = (0, 0, 0)
_WHITE: Color = (255, 255, 255)
_PANEL = 1000
_CROP = 128
_MOST_CROPS = 8
_GAP = 6


class _Label(NamedTuple):
    text: str
    width: int
    height: int


def draw_detections(
    image: np.ndarray,
    instances: Instances,
    class_names: Sequence[str],
    tiles: np.ndarray | None = None,
) -> np.ndarray:
    """Draws boxes, class names and scores, the best on top.

    Args:
        image: (H, W, 3) uint8, BGR; not changed.
        instances: on the CPU, in the image's pixels.
        class_names: in the order of pred_classes.
        tiles: (T, 4) XYXY in the image's pixels, drawn as a dashed grid.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    picture = np.ascontiguousarray(image).copy()
    if tiles is not None:
        _draw_grid(picture, tiles)
    _draw_boxes(picture, *_of_instances(instances, class_names))
    return picture


def class_color(index: int) -> Color:
    """BGR of a class: always the same, bright, and unlike that of its neighbours by number."""
    # Steps of the golden angle never come close to an earlier hue for long.
    hue = (0.04 + index * 0.618034) % 1.0
    saturation, value = ((0.85, 1.0), (0.55, 1.0), (1.0, 0.8))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def _of_instances(
    instances: Instances, class_names: Sequence[str]
) -> tuple[np.ndarray, list[int], list[str]]:
    """Boxes (N, 4), classes and labels, by rising score."""
    order = instances.scores.argsort()
    classes: list[int] = instances.pred_classes[order].tolist()
    scores: list[float] = instances.scores[order].tolist()
    labels = [
        f"{_name(class_names, index)} {score:.2f}"
        for index, score in zip(classes, scores, strict=True)
    ]
    return instances.pred_boxes.tensor[order].numpy().astype(float), classes, labels


def _of_sample(
    sample: dict[str, Any], class_names: Sequence[str]
) -> tuple[np.ndarray, list[int], list[str]]:
    annotations = sample.get("annotations", [])
    boxes = [
        BoxMode.convert(list(entry["bbox"]), entry["bbox_mode"], BoxMode.XYXY_ABS)
        for entry in annotations
    ]
    classes = [int(entry["category_id"]) for entry in annotations]
    labels = [_name(class_names, index) for index in classes]
    return np.array(boxes, dtype=float).reshape(-1, 4), classes, labels


def _name(class_names: Sequence[str], index: int) -> str:
    return class_names[index] if index < len(class_names) else f"class {index}"


def _line_width(image: np.ndarray) -> int:
    return max(1, round(max(image.shape[:2]) / _PIXELS_PER_LINE))


def _letter_height(image: np.ndarray) -> int:
    return max(_SMALLEST_LETTER, round(max(image.shape[:2]) / _PIXELS_PER_LETTER))


def _draw_boxes(
    picture: np.ndarray, boxes: np.ndarray, classes: Sequence[int], labels: Sequence[str]
) -> None:
    """Frames around the boxes (N, 4), then labels where they hide least; the last is on top."""
    line, letter = _line_width(picture), _letter_height(picture)
    for box, index in zip(boxes, classes, strict=True):
        _draw_frame(picture, box, class_color(index), line)
    if not any(labels):
        return
    margin = max(2, letter // 5)
    # The frame lies outside its box, so labels keep clear of box and frame.
    frames = boxes + np.array([-1, -1, 1, 1]) * (line + 1)
    sized = [_measure(text, letter, margin, picture.shape[1]) for text in labels]
    places = _place_labels(frames, sized, picture.shape[:2])
    for (x, y), label, index in zip(places, sized, classes, strict=True):
        if label.text:
            _draw_label(picture, label, x, y, class_color(index), letter, margin)


def _draw_frame(picture: np.ndarray, box: np.ndarray, color: Color, line: int) -> None:
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int) - 1
    # One ring of pixels after another, outwards, as a thick rectangle would cover the object;
    # a dark last ring sets the frame off against a bright background.
    for ring in range(1, line + 2):
        cv2.rectangle(
            picture,
            (int(x0) - ring, int(y0) - ring),
            (int(x1) + ring, int(y1) + ring),
            color if ring <= line else _BLACK,
            1,
        )


@functools.cache
def _font() -> Any:
    # OpenCV's own variable font; it falls back to one with the letters of all languages.
    return cv2.FontFace("sans")


def _text_width(text: str, letter: int) -> int:
    return int(cv2.getTextSize((0, 0), text, (0, 0), _font(), letter, _SEMIBOLD)[2])


def _measure(text: str, letter: int, margin: int, most: int) -> _Label:
    """A label's size; without its score, or empty, where the image is too narrow for it."""
    for candidate in (text, text.rsplit(" ", 1)[0]):
        width = _text_width(candidate, letter) + 2 * margin
        if width <= most:
            return _Label(candidate, width, letter + 2 * margin)
    return _Label("", 0, 0)


def _place_labels(
    frames: np.ndarray, labels: Sequence[_Label], size: tuple[int, int]
) -> list[tuple[int, int]]:
    """Top left corners of labels: beside their frame, where they cover the fewest frames.

    Args:
        frames: (N, 4) XYXY.
        labels: one each.
        size: (h, w) of the image.
    """
    height, width = size
    obstacles = frames.copy()
    placed = []
    for (x0, y0, x1, y1), label in zip(frames, labels, strict=True):
        w, h = label.width, label.height
        corners = np.array(
            [
                (x0, y0 - h),
                (x1 - w, y0 - h),
                (x0, y1),
                (x1 - w, y1),
                (x1, y0),
                (x0 - w, y0),
                (x1, y1 - h),
                (x0 - w, y1 - h),
                (x1, y0 - h),
                (x0 - w, y0 - h),
                (x1, y1),
                (x0 - w, y1),
            ]
        )
        inside = corners.clip([0, 0], [max(width - w, 0), max(height - h, 0)])
        covers = _overlap_areas(inside, w, h, obstacles)
        # Pushed back into the image a label may lie on its own box, which counts like any other.
        best = int(covers.argmin())
        x, y = inside[best].round().astype(int).tolist()
        placed.append((x, y))
        obstacles = np.vstack([obstacles, [x, y, x + w, y + h]])
    return placed


def _overlap_areas(corners: np.ndarray, width: int, height: int, boxes: np.ndarray) -> np.ndarray:
    """(C,) total area of ``boxes`` (N, 4) that a rectangle at each of the corners (C, 2) covers."""
    low = np.maximum(corners[:, None], boxes[None, :, :2])
    high = np.minimum(corners[:, None] + [width, height], boxes[None, :, 2:])
    return (high - low).clip(0).prod(axis=2).sum(axis=1)


def _draw_label(
    picture: np.ndarray, label: _Label, x: int, y: int, color: Color, letter: int, margin: int
) -> None:
    cv2.rectangle(picture, (x, y), (x + label.width - 1, y + label.height - 1), color, cv2.FILLED)
    blue, green, red = color
    is_bright = 0.114 * blue + 0.587 * green + 0.299 * red > 110
    ink = _BLACK if is_bright else _WHITE
    _write(picture, label.text, x + margin, y + margin, ink, letter)


def _write(picture: np.ndarray, text: str, x: int, y: int, ink: Color, letter: int) -> None:
    """Text whose line of ``letter`` pixels has its top left corner at (x, y)."""
    baseline = y + round(letter * 0.8)
    cv2.putText(picture, text, (x, baseline), ink, _font(), letter, _SEMIBOLD)


def _draw_grid(picture: np.ndarray, tiles: np.ndarray) -> None:
    """Dashed outlines of tiles (T, 4), light and dark in turn to be seen on any background."""
    height, width = picture.shape[:2]
    line = max(1, _line_width(picture) // 2)
    dash = 8 * line
    columns, rows = np.arange(width) // dash % 2, np.arange(height) // dash % 2
    across = np.where(columns[:, None] == 0, _WHITE, _BLACK).astype(np.uint8)
    down = np.where(rows[:, None] == 0, _WHITE, _BLACK).astype(np.uint8)
    for x0, y0, x1, y1 in np.unique(tiles.round().astype(int), axis=0).tolist():
        for y in (y0, y1 - line):
            picture[y : y + line, x0:x1] = across[None, x0:x1]
        for x in (x0, x1 - line):
            picture[y0:y1, x : x + line] = down[y0:y1, None]


def draw_comparison(
    sample: dict[str, Any], instances: Instances, class_names: Sequence[str]
) -> np.ndarray:
    """Ground truth on the left, predictions on the right, and close-ups of objects below.

    The photographs are shrunk to at most 1000 px a side and framed afterwards, so that frames stay
    sharp. Each of at most 8 close-ups shows 128 px around an object pixel by pixel, its upper copy
    with the ground truth and its lower copy with the predictions; labelled objects come first,
    then predictions far from any.

    Args:
        sample: dataset dict with annotations.
        instances: on the CPU, in the image's pixels.
        class_names: in the order of category ids.

    Returns:
        (h, w, 3) uint8, BGR.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_image`.
    """
    image = read_image(sample["file_name"])
    scale = min(1.0, _PANEL / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sides = (_of_sample(sample, class_names), _of_instances(instances, class_names))
    panels = []
    for title, (boxes, classes, labels) in zip(("ground truth", "predictions"), sides, strict=True):
        panel = small.copy()
        _draw_boxes(panel, boxes * scale, classes, labels)
        panels.append(_stack([_title(title, panel.shape[1]), panel], axis=0))
    centers = _close_up_centers(sides[0][0], sides[1][0][::-1])
    parts = [_stack(panels, axis=1)]
    if len(centers):
        rows = [[_close_up(image, center, *side) for center in centers] for side in sides]
        parts += [_stack(row, axis=1) for row in rows]
    return _stack(parts, axis=0)


def _title(text: str, width: int) -> np.ndarray:
    bar = np.full((_SMALLEST_LETTER + 10, width, 3), 255, dtype=np.uint8)
    _write(bar, text, 4, 5, _BLACK, _SMALLEST_LETTER + 2)
    return bar


def _close_up_centers(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(C, 2) centres of up to 8 objects: evenly from the truth, then from what is found elsewhere.

    Args:
        truth, found: (N, 4) XYXY; ``found`` by falling score.
    """
    chosen = np.linspace(0, len(truth) - 1, min(len(truth), _MOST_CROPS)).round().astype(int)
    centers = [(box[:2] + box[2:]) / 2 for box in truth[chosen]]
    for box in found:
        center = (box[:2] + box[2:]) / 2
        seen = [*centers, *((other[:2] + other[2:]) / 2 for other in truth)]
        if all(np.abs(center - other).max() > _CROP / 4 for other in seen):
            centers.append(center)
    return np.array(centers[:_MOST_CROPS]).reshape(-1, 2)


def _close_up(
    image: np.ndarray,
    center: np.ndarray,
    boxes: np.ndarray,
    classes: Sequence[int],
    labels: Sequence[str],
) -> np.ndarray:
    """(128, 128, 3): the surroundings of a point, moved into the image, with frames."""
    size = np.array([image.shape[1], image.shape[0]])
    start = (center - _CROP / 2).round().clip(0, (size - _CROP).clip(0)).astype(int)
    x, y = start.tolist()
    crop = np.full((_CROP, _CROP, 3), 128, dtype=np.uint8)
    cut = image[y : y + _CROP, x : x + _CROP]
    crop[: cut.shape[0], : cut.shape[1]] = cut
    moved = boxes - np.tile(start, 2)
    visible = (moved[:, :2] < _CROP).all(axis=1) & (moved[:, 2:] > 0).all(axis=1)
    shown = np.flatnonzero(visible).tolist()
    _draw_boxes(crop, moved[shown], [classes[i] for i in shown], [""] * len(shown))
    return crop


def _stack(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures in a row (axis 1) or a column (axis 0) on white, a gap between them."""
    across = 1 - axis
    side = max(picture.shape[across] for picture in pictures)
    parts = []
    for number, picture in enumerate(pictures):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[across] = (0, side - picture.shape[across])
        padding[axis] = (0, _GAP if number < len(pictures) - 1 else 0)
        parts.append(np.pad(picture, padding, constant_values=255))
    return np.concatenate(parts, axis=axis)
