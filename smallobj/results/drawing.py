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

from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.masks import CropMasks
from smallobj.results.text_labels import Color, draw_labels

# Pixels of the image's longer side per pixel of letter height, and per pixel of line width.
_PIXELS_PER_LETTER = 100
_PIXELS_PER_LINE = 900
SMALLEST_LETTER = 12


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
    draw_boxes(picture, *of_instances(instances, class_names))
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


def of_instances(
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


def of_sample(
    sample: dict[str, Any], class_names: Sequence[str]
) -> tuple[np.ndarray, list[int], list[str]]:
    """Boxes (N, 4), classes and labels of a dataset dict's annotations."""
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
    return max(SMALLEST_LETTER, round(max(image.shape[:2]) / _PIXELS_PER_LETTER))


def draw_boxes(
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
