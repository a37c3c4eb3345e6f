"""Pictures that compare ground truth and predictions, with close-ups of single objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from detectron2.structures import Instances

from smallobj.data.image_file import read_image
from smallobj.images.pixels import DEFAULT_CONVERSION, PixelConversion
from smallobj.results.drawing import (
    DrawingOptions,
    LabelChoice,
    Objects,
    draw_objects,
    legend_entries,
    wants_legend,
)
from smallobj.results.label_choice import SMALLEST_LETTER
from smallobj.results.legend import draw_margin
from smallobj.results.text_labels import write_text

_PANEL = 1000
_CROP = 120
_MOST_CROPS = 8
_GAP = 6


def draw_comparison(
    sample: dict[str, Any],
    instances: Instances,
    class_names: Sequence[str],
    conversion: PixelConversion = DEFAULT_CONVERSION,
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
        conversion: how the file is read.

    Returns:
        (h, w, 3) uint8, BGR.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_image`.
    """
    image = read_image(sample["file_name"], conversion=conversion)
    scale = min(1.0, _PANEL / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sides = (Objects.of_sample(sample), Objects.of_instances(instances))
    panels, choices = [], []
    for title, objects in zip(("ground truth", "predictions"), sides, strict=True):
        panel = small.copy()
        reduced = objects._replace(boxes=objects.boxes * scale)
        choices.append(draw_objects(panel, reduced, class_names))
        panels.append(_stack([_title(title, panel.shape[1]), panel], axis=0))
    parts = [_stack(panels, axis=1)]
    parts += _legend(sides, choices, class_names, parts[0].shape[1])
    zoom = max(1, ((parts[0].shape[1] + _GAP) // _MOST_CROPS - _GAP) // _CROP)
    targets = _close_up_objects(sides[0].boxes, sides[1].boxes[::-1])
    if len(targets):
        rows = [
            [_close_up(image, box, zoom, side, class_names) for box in targets] for side in sides
        ]
        parts += [_stack(row, axis=1) for row in rows]
    return _stack(parts, axis=0)


def _legend(
    sides: Sequence[Objects],
    choices: Sequence[LabelChoice],
    class_names: Sequence[str],
    width: int,
) -> list[np.ndarray]:
    """A strip (h, width, 3) with the classes of the ground truth and the predictions, if needed."""
    options = DrawingOptions()
    if not any(map(wants_legend, (options, options), sides, choices)):
        return []
    classes = [index for side in sides for index in side.classes]
    with_numbers = any(choice.kind == "index" for choice in choices)
    entries = [
        entry._replace(text=entry.text.rsplit(" ", 1)[0])  # a count of both sides tells nothing
        for entry in legend_entries(classes, class_names, with_numbers)
    ]
    return [draw_margin(entries, SMALLEST_LETTER, width)]


def _title(text: str, width: int) -> np.ndarray:
    bar = np.full((SMALLEST_LETTER + 10, width, 3), 255, dtype=np.uint8)
    write_text(bar, text, 4, 4, (0, 0, 0), SMALLEST_LETTER + 2)
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
    image: np.ndarray, target: np.ndarray, zoom: int, objects: Objects, class_names: Sequence[str]
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
    moved = (objects.boxes - np.tile(start, 2)) * (_CROP * zoom / side)
    visible = (moved[:, :2] < _CROP * zoom).all(axis=1) & (moved[:, 2:] > 0).all(axis=1)
    shown = objects._replace(boxes=moved).select(np.flatnonzero(visible).tolist())
    # Numbers need a legend, for which a close-up has no room.
    draw_objects(shown_crop, shown, class_names, ("full", "name", "none"))
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
