"""Pictures with boxes: thin frames around small objects, labels beside the objects.

The sizes of lines and letters depend on the image's size, because an image of 2800 px is viewed on
a screen of half as many. Drawn with OpenCV, in a twentieth of the time of Detectron2's Visualizer
(Matplotlib).
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from detectron2.structures import Instances

from smallobj.data.image_file import read_image
from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.masks import CropMasks
from smallobj.results.text_labels import Color, draw_labels, write_text

# Pixels of the image's longer side per pixel of letter height, and per pixel of line width.
_PIXELS_PER_LETTER = 100
_PIXELS_PER_LINE = 900
_SMALLEST_LETTER = 12
_PANEL = 1000
_CROP = 120
_MOST_CROPS = 8
_GAP = 6


def draw_detections(
    image: np.ndarray,
    instances: Instances,
    class_names: Sequence[str],
    tiles: np.ndarray | None = None,
) -> np.ndarray:
    """Draws boxes, class names and scores, the highest score on top; masks as tints below.

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
    if instances.has("pred_masks"):
        _tint(picture, instances)
    _draw_boxes(picture, *_of_instances(instances, class_names))
    return picture


def _tint(picture: np.ndarray, instances: Instances) -> None:
    """Blends the pixels of each object's mask with the colour of its class, half and half."""
    masks = instances.pred_masks
    if not isinstance(masks, CropMasks):
        masks = CropMasks.from_bitmasks(masks)
    corners = masks.corners().tolist()
    for index in instances.scores.argsort().tolist():
        x0, y0, x1, y1 = corners[index]
        inside = masks.crops[index].numpy()
        region = picture[y0:y1, x0:x1]
        color = np.array(class_color(int(instances.pred_classes[index])))
        region[inside] = ((region[inside] + color) / 2).astype(np.uint8)


def class_color(index: int) -> Color:
    """The BGR colour of a class: fixed, bright, and different from those of nearby indices."""
    # Found by search: the colours of 30 classes differ by at least 67 (sum over channels, of 765).
    hue = (0.04 + index * 0.41) % 1.0
    saturation, value = ((0.85, 1.0), (0.55, 1.0), (1.0, 0.8), (0.75, 0.75))[index % 4]
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
    classes = [int(entry["category_id"]) for entry in annotations]
    labels = [_name(class_names, index) for index in classes]
    return annotation_boxes(annotations), classes, labels


def _name(class_names: Sequence[str], index: int) -> str:
    return class_names[index] if index < len(class_names) else f"class {index}"


def _line_width(image: np.ndarray) -> int:
    # One pixel of colour beside the dark ring is hard to see, except in the smallest images.
    side = max(image.shape[:2])
    return max(2 if side >= 200 else 1, round(side / _PIXELS_PER_LINE))


def _letter_height(image: np.ndarray) -> int:
    return max(_SMALLEST_LETTER, round(max(image.shape[:2]) / _PIXELS_PER_LETTER))


def _draw_boxes(
    picture: np.ndarray, boxes: np.ndarray, classes: Sequence[int], labels: Sequence[str]
) -> None:
    """Draws frames around the boxes (N, 4), then labels where they hide least; the last on top."""
    line = _line_width(picture)
    colors = [class_color(index) for index in classes]
    for box, color in zip(boxes, colors, strict=True):
        _draw_frame(picture, box, color, line)
    # A frame lies outside its box; labels should hide neither.
    frames = boxes + np.array([-1, -1, 1, 1]) * (line + 1)
    draw_labels(picture, frames, labels, colors, _letter_height(picture), line)


def _draw_frame(picture: np.ndarray, box: np.ndarray, color: Color, line: int) -> None:
    x0, y0 = np.floor(box[:2]).astype(int).tolist()
    x1, y1 = (np.ceil(box[2:]).astype(int) - 1).tolist()
    # Rings of one pixel from the box outwards, as a thick rectangle would cover the object. The
    # outermost ring is dark, for contrast with a bright background.
    blue, green, red = color
    dark = (blue // 3, green // 3, red // 3)
    for ring in range(1, line + 2):
        corners = (x0 - ring, y0 - ring), (x1 + ring, y1 + ring)
        cv2.rectangle(picture, *corners, color if ring <= line else dark, 1)


def _draw_grid(picture: np.ndarray, tiles: np.ndarray) -> None:
    """Draws dashed outlines of tiles (T, 4), black and white to be visible on any background."""
    height, width = picture.shape[:2]
    line = max(1, _line_width(picture) // 2)
    dash = 8 * line
    columns, rows = np.arange(width) // dash % 2, np.arange(height) // dash % 2
    across = np.where(columns[:, None] == 0, 255, 0).astype(np.uint8)
    down = np.where(rows[:, None] == 0, 255, 0).astype(np.uint8)
    for x0, y0, x1, y1 in np.unique(tiles.round().astype(int), axis=0).tolist():
        for y in (y0, y1 - line):
            picture[y : y + line, x0:x1] = across[None, x0:x1]
        for x in (x0, x1 - line):
            picture[y0:y1, x : x + line] = down[y0:y1, None]


def draw_comparison(
    sample: dict[str, Any], instances: Instances, class_names: Sequence[str]
) -> np.ndarray:
    """Ground truth on the left, predictions on the right, and close-ups of objects below.

    The image is reduced to at most 1000 px a side before boxes are drawn, so that frames stay
    sharp. At most 8 close-ups show 120 px a side around an object at native resolution (a larger
    object with its surroundings, reduced): in the upper row with the ground truth, in the lower row
    with the predictions. Labelled objects come first, then predictions far from all of them.

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
    parts = [_stack(panels, axis=1)]
    zoom = max(1, ((parts[0].shape[1] + _GAP) // _MOST_CROPS - _GAP) // _CROP)
    objects = _close_up_objects(sides[0][0], sides[1][0][::-1])
    if len(objects):
        rows = [[_close_up(image, box, zoom, *side) for box in objects] for side in sides]
        parts += [_stack(row, axis=1) for row in rows]
    return _stack(parts, axis=0)


def _title(text: str, width: int) -> np.ndarray:
    bar = np.full((_SMALLEST_LETTER + 10, width, 3), 255, dtype=np.uint8)
    write_text(bar, text, 4, 4, (0, 0, 0), _SMALLEST_LETTER + 2)
    return bar


def _close_up_objects(truth: np.ndarray, detections: np.ndarray) -> np.ndarray:
    """(C, 4) boxes of up to 8 objects: evenly from the ground truth, then detections elsewhere.

    Args:
        truth, detections: (N, 4) XYXY; ``detections`` by falling score.
    """
    even = np.linspace(0, len(truth) - 1, min(len(truth), _MOST_CROPS)).round().astype(int)
    chosen = list(truth[even])
    for box in detections:
        seen = np.array([*chosen, *truth]).reshape(-1, 4)
        distance = np.abs(seen[:, :2] + seen[:, 2:] - box[:2] - box[2:]).max(axis=1) / 2
        if (distance > _CROP / 4).all():
            chosen.append(box)
    return np.array(chosen[:_MOST_CROPS]).reshape(-1, 4)


def _close_up(
    image: np.ndarray,
    target: np.ndarray,
    zoom: int,
    boxes: np.ndarray,
    classes: Sequence[int],
    labels: Sequence[str],
) -> np.ndarray:
    """A box and its surroundings with frames, (120 zoom, 120 zoom, 3); shifted to stay inside."""
    side = max(_CROP, round(1.25 * float((target[2:] - target[:2]).max())))
    limit = (np.array([image.shape[1], image.shape[0]]) - side).clip(0)
    start = ((target[:2] + target[2:] - side) / 2).round().clip(0, limit).astype(int)
    x, y = start.tolist()
    crop = np.full((side, side, 3), 128, dtype=np.uint8)
    cut = image[y : y + side, x : x + side]
    crop[: cut.shape[0], : cut.shape[1]] = cut
    is_native = side == _CROP
    way = cv2.INTER_NEAREST if is_native else cv2.INTER_AREA
    shown_crop = cv2.resize(crop, (_CROP * zoom, _CROP * zoom), interpolation=way)
    moved = (boxes - np.tile(start, 2)) * (_CROP * zoom / side)
    visible = (moved[:, :2] < _CROP * zoom).all(axis=1) & (moved[:, 2:] > 0).all(axis=1)
    center = (moved[:, :2] + moved[:, 2:]) / 2
    is_named = ((center > 0) & (center < _CROP * zoom)).all(axis=1)
    shown = np.flatnonzero(visible).tolist()
    texts = [labels[i] if is_named[i] else "" for i in shown]
    _draw_boxes(shown_crop, moved[shown], [classes[i] for i in shown], texts)
    return shown_crop


def _stack(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Joins pictures in a row (axis 1) or a column (axis 0), on white, with a gap between them."""
    across = 1 - axis
    side = max(picture.shape[across] for picture in pictures)
    parts = []
    for number, picture in enumerate(pictures):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[across] = (0, side - picture.shape[across])
        padding[axis] = (0, _GAP if number < len(pictures) - 1 else 0)
        parts.append(np.pad(picture, padding, constant_values=255))
    return np.concatenate(parts, axis=axis)
