"""YOLO: a .txt file an image, ``class cx cy w h`` or ``class cx cy w h score`` a line.

cx and w are shares of the image's width, cy and h of its height; (cx, cy) is the box's centre.
Class names stand in classes.txt beside the label files.
"""

from __future__ import annotations

import os

from smallobj.data.labels.problems import Problem
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.yolo import read_yolo
from smallobj.formats.box_reading import SCORE_MISSING, BoxReading, Source
from smallobj.formats.box_set import BoxSet, ImageBoxes
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
    classes = source.classes or os.path.join(source.path, CLASS_FILE)
    dataset = read_yolo(
        DatasetSpec("", "yolo", source.path, source.images, classes), source.policy, scores=True
    )
    reading = BoxReading.from_dataset(dataset, source.images)
    scored = [
        (file, row[5] is not None) for file, image in reading.boxes.items() for row in image.rows
    ]
    mixed = [file for file, is_scored in scored if is_scored is not scored[0][1]]
    if mixed:
        reading.report(source.path, mixed[0], SCORE_MISSING, "some lines with and some without")
    # The numbers that the reader gave the images are no ids of a COCO file.
    for image in reading.boxes.values():
        image.image_id = None
    return reading.box_set(), reading.problems


def write(boxes: BoxSet, target: Target) -> None:
    """Writes a label file an image, empty where there is no box, and the class names.

    Raises:
        ValueError: a size is unknown, there are crowd regions, or files collide.
    """
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
    rows = zip(image.boxes.tolist(), image.classes.tolist(), image.score_list, strict=True)
    for (x1, y1, x2, y2), index, score in rows:
        shares = (
            *((x1 + x2) / 2 / width, (y1 + y2) / 2 / height),
            *((x2 - x1) / width, (y2 - y1) / height),
        )
        words = [str(index), *(f"{share:.{_DIGITS}f}" for share in shares)]
        lines.append(" ".join([*words, repr(score)] if score is not None else words) + "\n")
    return "".join(lines)
