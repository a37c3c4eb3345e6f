"""Pictures with boxes: thin frames around small objects, labels beside the objects.

Sizes of lines and letters follow the objects, the room between them, and the picture, because an
image of 2800 px is viewed on a screen of half as many. Drawn with OpenCV, in a twentieth of the
time of Detectron2's Visualizer (Matplotlib).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from detectron2.structures import Instances

from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.masks import CropMasks
from smallobj.results.class_colors import class_color
from smallobj.results.drawing_options import DrawingOptions
from smallobj.results.frames import draw_frames, frame_widths, picture_line
from smallobj.results.label_choice import (
    VERBOSE_FIRST,
    LabelChoice,
    choose_labels,
    usual_letter,
)
from smallobj.results.legend import LegendEntry, add_legend
from smallobj.results.text_labels import draw_labels


class Objects(NamedTuple):
    """Objects to draw, the most important last.

    Attributes:
        boxes: (N, 4) XYXY.
        classes: N class indices.
        scores: N scores; None for labelled objects.
    """

    boxes: np.ndarray
    classes: list[int]
    scores: list[float] | None = None

    @classmethod
    def of_instances(cls, instances: Instances) -> Objects:
        """Detections on the CPU, by rising score."""
        order = instances.scores.argsort()
        boxes = instances.pred_boxes.tensor[order].numpy().astype(float)
        classes: list[int] = instances.pred_classes[order].tolist()
        return cls(boxes, classes, instances.scores[order].tolist())

    @classmethod
    def of_sample(cls, sample: dict[str, Any]) -> Objects:
        """The annotations of a dataset dict."""
        annotations = sample.get("annotations", [])
        classes = [int(entry["category_id"]) for entry in annotations]
        return cls(annotation_boxes(annotations), classes)

    def select(self, rows: Sequence[int]) -> Objects:
        """Some of the objects."""
        scores = None if self.scores is None else [self.scores[row] for row in rows]
        return Objects(self.boxes[list(rows)], [self.classes[row] for row in rows], scores)

    def texts(self, class_names: Sequence[str]) -> dict[str, list[str]]:
        """N texts for each kind of labels."""
        names = [class_name(class_names, index) for index in self.classes]
        full = names
        if self.scores is not None:
            full = [f"{name} {score:.2f}" for name, score in zip(names, self.scores, strict=True)]
        return {"full": full, "name": names, "index": [str(index) for index in self.classes]}


class DrawnPicture(NamedTuple):
    """A picture with boxes.

    Attributes:
        picture: (H, W, 3) uint8 BGR; higher by a margin if the legend found no other place.
        kind: the kind of labels, one of LABEL_KINDS.
        left_out: number of objects whose label found no room.
    """

    picture: np.ndarray
    kind: str
    left_out: int


def draw_detections(
    image: np.ndarray,
    instances: Instances,
    class_names: Sequence[str],
    tiles: np.ndarray | None = None,
    options: DrawingOptions | None = None,
) -> np.ndarray:
    """Draws boxes, labels and a legend, the highest score on top; masks as tints below.

    Args:
        image: (H, W, 3) uint8, BGR; not changed.
        instances: on the CPU, in the image's pixels.
        class_names: in the order of pred_classes.
        tiles: (T, 4) XYXY in the image's pixels, drawn as a dashed grid.
        options: labels, line width and legend; None: chosen by the room between the objects.

    Returns:
        (H, W, 3) uint8, BGR. A legend that finds no free place is added below, in a margin.
    """
    return draw_picture(image, instances, class_names, tiles, options).picture


def draw_picture(
    image: np.ndarray,
    instances: Instances,
    class_names: Sequence[str],
    tiles: np.ndarray | None = None,
    options: DrawingOptions | None = None,
    kinds: Sequence[str] = VERBOSE_FIRST,
) -> DrawnPicture:
    """As :func:`draw_detections`; also tells what kind of labels was chosen.

    Args:
        image, instances, class_names, tiles, options: as :func:`draw_detections`.
        kinds: kinds of labels to choose from by room, by preference, if the options name none.
    """
    options = options or DrawingOptions()
    picture = np.ascontiguousarray(image).copy()
    if tiles is not None:
        _draw_grid(picture, tiles)
    if instances.has("pred_masks"):
        _tint(picture, instances)
    objects = Objects.of_instances(instances)
    kinds = kinds if options.labels is None else (options.labels,)
    choice = draw_objects(picture, objects, class_names, kinds, options.line_width)
    if wants_legend(options, objects, choice):
        occupied = np.vstack([objects.boxes, choice.places])
        entries = legend_entries(objects.classes, class_names, choice.kind == "index")
        picture = add_legend(picture, entries, occupied, usual_letter(image.shape[:2]))
    return DrawnPicture(picture, choice.kind, choice.left_out)


def draw_objects(
    picture: np.ndarray,
    objects: Objects,
    class_names: Sequence[str],
    kinds: Sequence[str] = VERBOSE_FIRST,
    line: int | None = None,
) -> LabelChoice:
    """Draws frames around objects and labels beside them into a picture (H, W, 3); the last on top.

    Args:
        picture: is changed.
        objects: in the picture's pixels.
        class_names: in the order of class indices.
        kinds: as :func:`smallobj.results.label_choice.choose_labels`.
        line: width of the frames; None: chosen.

    Returns:
        The labels that were drawn.
    """
    size = (picture.shape[0], picture.shape[1])
    colors = [class_color(index) for index in objects.classes]
    widths = frame_widths(size, objects.boxes, line)
    draw_frames(picture, objects.boxes, colors, widths)
    # A frame lies outside its box; labels should hide neither.
    frames = objects.boxes + widths.total[:, None] * np.array([-1, -1, 1, 1])
    choice = choose_labels(size, frames, objects.texts(class_names), kinds)
    if choice.labels:
        draw_labels(picture, frames, choice.labels, choice.places, colors, choice.letter)
    return choice


def wants_legend(options: DrawingOptions, objects: Objects, choice: LabelChoice) -> bool:
    """Whether a legend is drawn: as the options say, or if not every object is named."""
    if not objects.classes or options.legend is not None:
        return bool(objects.classes and options.legend)
    return choice.kind in ("none", "index") or choice.left_out > 0


def legend_entries(
    classes: Sequence[int], class_names: Sequence[str], with_numbers: bool
) -> list[LegendEntry]:
    """An entry for each class that occurs, with its count, by the number of the class."""
    return [
        LegendEntry(
            class_color(index),
            str(index) if with_numbers else "",
            f"{class_name(class_names, index)} {count}",
        )
        for index, count in sorted(Counter(classes).items())
    ]


def class_name(class_names: Sequence[str], index: int) -> str:
    """Name of a class; "class 7" if it has none."""
    return class_names[index] if index < len(class_names) else f"class {index}"


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


def _draw_grid(picture: np.ndarray, tiles: np.ndarray) -> None:
    """Draws dashed outlines of tiles (T, 4), black and white to be visible on any background."""
    height, width = picture.shape[:2]
    line = max(1, picture_line((height, width)) // 2)
    dash = 8 * line
    columns, rows = np.arange(width) // dash % 2, np.arange(height) // dash % 2
    across = np.where(columns[:, None] == 0, 255, 0).astype(np.uint8)
    down = np.where(rows[:, None] == 0, 255, 0).astype(np.uint8)
    for x0, y0, x1, y1 in np.unique(tiles.round().astype(int), axis=0).tolist():
        for y in (y0, y1 - line):
            picture[y : y + line, x0:x1] = across[None, x0:x1]
        for x in (x0, x1 - line):
            picture[y0:y1, x : x + line] = down[y0:y1, None]
