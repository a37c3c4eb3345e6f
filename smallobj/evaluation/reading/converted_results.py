"""Detections in the formats of other tools: CSV, CVAT, YOLO and LabelMe."""

from __future__ import annotations

import logging
import os

import numpy as np

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.problems import DatasetError, ProblemLog, ResultsError, shown
from smallobj.data.labels.rules import KNOWN_CLASS
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.evaluation.reading.yolo_results import read_yolo_results
from smallobj.formats import BoxSet, Source, read_boxes
from smallobj.formats.detections.results_options import ResultsOptions
from smallobj.formats.detections.unknown_images import NamedImages
from smallobj.image_paths import visible_files

_logger = logging.getLogger(__name__)

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
    names = visible_files(path)
    found = [known for ending, known in _FOLDERS.items() if any(n.endswith(ending) for n in names)]
    if len(found) != 1:
        raise ValueError(
            f"{path}: a folder of detections holds either .txt files (YOLO) or .json files "
            f"(LabelMe); got {'both' if found else 'neither'}"
        )
    return found[0]


def read_converted(
    name: str, path: str, data: EvaluationSet, options: ResultsOptions | None = None
) -> DetectionTable:
    """The detections of a file or folder, ordered by image, else as they stand there.

    Args:
        name: its format, from :func:`format_of`.
        path: the file or folder.
        data: what they are for; its detections are not looked at.
        options: how they are to be understood; None decides by what fits.

    Raises:
        ResultsError: lists the rules that the file breaks, unknown images and classes, and boxes
            without scores.
    """
    options = options or ResultsOptions()
    if name == "yolo":
        table = read_yolo_results(path, data, options)
    else:
        try:
            boxes = read_boxes(name, Source(path, class_names=data.class_names))
        except DatasetError as error:
            raise ResultsError(error.problems) from None
        table = _table(boxes, path, data, options)
    if not len(table):
        _logger.warning("%s: there are no detections in it", path)
    return table


def _table(
    boxes: BoxSet, path: str, data: EvaluationSet, options: ResultsOptions
) -> DetectionTable:
    known = {name: k for k, name in enumerate(data.class_names)}
    classes = np.array([known.get(name, -1) for name in boxes.class_names], dtype=np.int64)
    log = ProblemLog(policy=Policy.of(options.rules))
    images = NamedImages(data.file_names, path, log)
    tables: dict[int, DetectionTable] = {}
    for image in boxes.images:
        number = images.number(image.file, image.file, len(image)) if len(image) else None
        if number is None:
            continue
        if image.scores is None:
            log.report(path, image.file, SCORED, "boxes without a score")
            continue
        own = classes[image.classes]
        for index in np.unique(image.classes[own < 0]).tolist():
            value = f"{shown(boxes.class_names[index])}; known are {shown(list(known))}"
            log.report(path, image.file, KNOWN_CLASS, value)
        tables[number] = DetectionTable.single_image(image.boxes, image.scores, own)
    images.tell_unknown()
    if log.problems:
        raise ResultsError(log.problems)
    for line in log.changes.lines():
        _logger.warning("%s", line)
    # By number of the image, whatever the order of the files: equal scores rank by it.
    return DetectionTable.from_images(dict(sorted(tables.items())))
