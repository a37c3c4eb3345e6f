"""Detections in the formats of other tools: CSV, CVAT, YOLO and LabelMe."""

from __future__ import annotations

import os

import numpy as np

from smallobj.data.labels.problems import Problem, ResultsError, shown
from smallobj.data.labels.rules import KNOWN_CLASS
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.formats import BoxSet, Source, read_boxes
from smallobj.formats.image_names import ImageNames
from smallobj.formats.result_columns import KNOWN_FILE, ONCE

SCORED = "detections must have scores"
_FILES = {".csv": "csv", ".xml": "cvat"}
_FOLDERS = {".txt": "yolo", ".json": "labelme"}


def format_of(path: str) -> str | None:
    """The format of a file or folder by its ending, or by those of the files in it.

    Returns:
        a name of ``smallobj.formats.FORMATS``; None for a file of another ending.

    Raises:
        ValueError: a folder without .txt or .json files, or with both.
    """
    if not os.path.isdir(path):
        return _FILES.get(os.path.splitext(path)[1].lower())
    names = [name for _, _, files in os.walk(path) for name in files]
    found = [known for ending, known in _FOLDERS.items() if any(n.endswith(ending) for n in names)]
    if len(found) != 1:
        raise ValueError(
            f"{path}: a folder of detections holds either .txt files (YOLO) or .json files "
            f"(LabelMe); got {'both' if found else 'neither'}"
        )
    return found[0]


def read_converted(name: str, path: str, data: EvaluationSet) -> DetectionTable:
    """The detections of a file or folder, ordered by image, else as they stand there.

    Args:
        name: its format, from :func:`format_of`.
        path: the file or folder.
        data: what they are for; its detections are not looked at. YOLO's shares are of the sides
            of its image files, which must be there.

    Raises:
        DatasetError: lists the rules that the file breaks.
        ResultsError: lists unknown images and classes; or the boxes have no scores.
    """
    # YOLO names neither sizes nor classes in its label files: it needs the images' folder, and
    # reads classes.txt.
    images = _common_folder(data) if name == "yolo" else ""
    names = () if name == "yolo" else data.class_names
    boxes = read_boxes(name, Source(path, images, class_names=names))
    return _table(boxes, path, data)


def _common_folder(data: EvaluationSet) -> str:
    folders = [os.path.dirname(os.path.abspath(file)) for file in data.file_names]
    return os.path.commonpath(folders) if folders else ""


def _table(boxes: BoxSet, path: str, data: EvaluationSet) -> DetectionTable:
    numbers = ImageNames(data.file_names)
    known = {name: k for k, name in enumerate(data.class_names)}
    classes = np.array([known.get(name, -1) for name in boxes.class_names], dtype=np.int64)
    problems = []
    seen: dict[int, str] = {}
    tables: dict[int, DetectionTable] = {}
    for image in boxes.images:
        if not len(image):
            continue
        number = numbers.find(image.file)
        if number is None or number in seen:
            rule = KNOWN_FILE if number is None else ONCE
            problems.append(Problem(path, image.file, rule, shown(image.file)))
            continue
        seen[number] = image.file
        if image.scores is None:
            problems.append(Problem(path, image.file, SCORED, "boxes without a score"))
            continue
        own = classes[image.classes]
        for index in np.unique(image.classes[own < 0]).tolist():
            value = f"{shown(boxes.class_names[index])}; known are {shown(list(known))}"
            problems.append(Problem(path, image.file, KNOWN_CLASS, value))
        tables[number] = DetectionTable.single_image(image.boxes, image.scores, own)
    if problems:
        raise ResultsError(problems)
    # By number of the image, whatever the order of the files: equal scores rank by it.
    return DetectionTable.from_images(dict(sorted(tables.items())))
