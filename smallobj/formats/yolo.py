"""YOLO: a .txt file an image, ``class cx cy w h`` or ``class cx cy w h score`` a line.

cx and w are shares of the image's width, cy and h of its height; (cx, cy) is the box's centre.
Polygons, oriented boxes and boxes with keypoints are read as boxes. Class names stand in
classes.txt beside the label files.
"""

from __future__ import annotations

import os
from dataclasses import replace

from smallobj.data.labels.problems import Problem
from smallobj.data.labels.yolo_txt.yolo import read_yolo
from smallobj.formats.box_set import BoxSet, ImageBoxes, only_polygon, warn_of_masks
from smallobj.formats.dataset_boxes import converted
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, class_list, label_files, write_file

CLASS_FILE = "classes.txt"
# Half a unit of the last digit is under half a millionth of a pixel up to 600,000 pixels a side.
_DIGITS = 12


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections of a folder of label files.

    Raises:
        ValueError: no folder of images is named: shares mean nothing without their sizes.
    """
    if not source.images:
        raise ValueError(
            f"{source.path}: YOLO boxes are shares of the image's sides; name the folder of "
            "images (--images)"
        )
    if not source.classes:
        source = replace(source, classes=os.path.join(source.path, CLASS_FILE))
    return converted(read_yolo(source.dataset("yolo"), source.policy, scores=True), source)


def write(boxes: BoxSet, target: Target) -> None:
    """Writes a label file an image, empty where there is no box, and the class names.

    Raises:
        ValueError: a size is unknown, there are crowd regions, or files collide.
    """
    warn_of_masks(boxes, "YOLO txt")
    files = list(label_files(boxes, target, ".txt", taken=[CLASS_FILE]))
    # All are made before the first is written, so that an error leaves no half of a folder.
    texts = [_lines(image) for image, _ in files]
    names = class_list(boxes.class_names)
    write_file(target, os.path.join(target.path, CLASS_FILE), names)
    for (_, path), text in zip(files, texts, strict=True):
        write_file(target, path, text)


def _lines(image: ImageBoxes) -> str:
    height, width = image.needed_size("YOLO txt")
    if any(image.crowds):
        raise ValueError(
            f"{image.file}: YOLO txt has no crowd regions, which would become objects "
            "(--drop-crowd leaves them out)"
        )
    lines = []
    columns = (image.boxes.tolist(), image.classes.tolist(), image.score_list, image.masks)
    for (x1, y1, x2, y2), index, score, mask in zip(*columns, strict=True):
        shares = [
            *((x1 + x2) / 2 / width, (y1 + y2) / 2 / height),
            *((x2 - x1) / width, (y2 - y1) / height),
        ]
        polygon = only_polygon(mask)
        if polygon is not None:
            shares = [value / (width, height)[k % 2] for k, value in enumerate(polygon)]
        words = [str(index), *(f"{share:.{_DIGITS}f}" for share in shares)]
        lines.append(" ".join([*words, repr(score)] if score is not None else words) + "\n")
    return "".join(lines)
