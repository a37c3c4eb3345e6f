"""Detections in YOLO's layout: a .txt file an image, ``class cx cy w h score`` a line.

The sizes and classes are the data set's, so neither images nor names of classes have to lie beside
the files. Ultralytics writes them with ``save_txt=True save_conf=True``; its segments (``class x1
y1 x2 y2 ... score``) are read as the boxes around them.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence

import numpy as np

from smallobj.data.labels.image_list import natural_key
from smallobj.data.labels.policy import Policy
from smallobj.data.labels.problems import ResultsError, shown
from smallobj.data.labels.reading import DatasetReading, read_class_file, read_text
from smallobj.data.labels.rules import KNOWN_CLASS, class_index
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.formats.box_set import DECIMALS
from smallobj.formats.detections.results_options import ResultsOptions
from smallobj.formats.detections.unknown_images import ONCE, UnknownImages, counted
from smallobj.formats.image_names import ImageNames
from smallobj.formats.yolo import CLASS_FILE
from smallobj.image_paths import visible_files

LINE_RULE = "a line must hold class cx cy w h score, or class x1 y1 x2 y2 x3 y3 ... score"
SCORE_RULE = "a line must end with a score from 0 to 1 (Ultralytics writes it with save_conf=True)"
BOX_RULE = "a box must have finite coordinates and no negative side"
SHARE_RULE = "coordinates must be shares of the image's sides, at most 1"
# Slightly above 1, for shares rounded to few digits.
_LARGEST_SHARE = 1.001
_BOX, _SMALLEST_SEGMENT = 6, 8
_MOST_NAMES = 5
_logger = logging.getLogger(__name__)


def read_yolo_results(folder: str, data: EvaluationSet, options: ResultsOptions) -> DetectionTable:
    """The detections of a folder and those below it, ordered by image.

    Args:
        folder: of label files; one without a file for an image has no detections in it.
        data: what they are for; its sizes and classes count.
        options: ``classes`` names the class numbers; without it ``classes.txt`` in the folder does,
            and without that they are those of ``data``, which is logged.

    Raises:
        ResultsError: all broken rules, each with file, line and value.
    """
    reading = _YoloResults(folder, data, options)
    tables: dict[int, DetectionTable] = {}
    for path in _label_files(folder):
        reading.read_file(path, tables)
    reading.unknown.tell(reading)
    if reading.problems:
        raise ResultsError(reading.problems)
    for line in reading.changes.lines():
        _logger.warning("%s", line)
    if reading.segments:
        told = counted(reading.segments, "segment")
        _logger.warning("%s: %s read as the boxes around them", folder, told)
    return DetectionTable.from_images(dict(sorted(tables.items())))


def _label_files(folder: str) -> list[str]:
    labels = [path for path in visible_files(folder) if path.endswith(".txt")]
    return sorted(
        (path for path in labels if os.path.basename(path) != CLASS_FILE), key=natural_key
    )


class _YoloResults(DatasetReading):
    """A reading in progress.

    Attributes:
        unknown: images that the data set does not have.
        segments: number of segments so far.
    """

    def __init__(self, folder: str, data: EvaluationSet, options: ResultsOptions) -> None:
        super().__init__(policy=Policy.of(options.rules))
        self.segments = 0
        self._folder = folder
        self._sizes = data.sizes
        self._known = list(data.class_names)
        self._images = ImageNames(data.file_names)
        self._seen: set[int] = set()
        self.unknown = UnknownImages(folder)
        self._classes = self._class_numbers(data.class_names, options.classes)

    def _class_numbers(self, known: Sequence[str], file: str) -> list[int | None]:
        """The data set's class by class in the files; None for one that it lacks."""
        beside = os.path.join(self._folder, CLASS_FILE)
        path = file or (beside if os.path.isfile(beside) else "")
        self.class_names = read_class_file(path, self) if path else list(known)
        if not path:
            pairs = [f"{k} is {name!r}" for k, name in enumerate(known[:_MOST_NAMES])]
            more = ", ..." if len(known) > _MOST_NAMES else ""
            _logger.warning(
                "%s: without a %s or --classes the class numbers are taken for the labels' classes "
                "in their order: %s",
                *(self._folder, CLASS_FILE, ", ".join(pairs) + more),
            )
        numbers = {name: k for k, name in enumerate(known)}
        return [numbers.get(name) for name in self.class_names]

    def read_file(self, path: str, tables: dict[int, DetectionTable]) -> None:
        """Takes the detections of one image."""
        lines = (read_text(path, self) or "").splitlines()
        rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
        name = os.path.splitext(os.path.relpath(path, self._folder))[0]
        image = self._images.find(name)
        if image is None:
            self.unknown.add(name, os.path.relpath(path, self._folder), len(rows))
            return
        if image in self._seen:
            self.report(path, "whole file", ONCE, f"{shown(name)} again")
            return
        self._seen.add(image)
        height, width = self._sizes[image].tolist()
        found = [self._detection(path, f"line {k}", words, (height, width)) for k, words in rows]
        good = [row for row in found if row is not None]
        boxes = np.array([row[0] for row in good], np.float64).reshape(-1, 4).round(DECIMALS)
        classes, scores = (np.array([row[k] for row in good], np.float64) for k in (1, 2))
        tables[image] = DetectionTable.single_image(boxes, scores, classes)

    def _detection(
        self, path: str, entry: str, words: list[str], size: tuple[int, int]
    ) -> tuple[list[float], int, float] | None:
        """(x1, y1, x2, y2), class and score; None after reporting what is wrong."""
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) < _BOX - 1 or len(numbers) == _BOX + 1:
            self.report(path, entry, LINE_RULE, shown(" ".join(words)))
            return None
        score = numbers[-1]
        if len(numbers) % 2 or not 0 <= score <= 1:
            self.report(path, entry, SCORE_RULE, shown(" ".join(words)))
            return None
        if not all(share <= _LARGEST_SHARE for share in numbers[1:-1]):
            self.report(path, entry, SHARE_RULE, shown(" ".join(words)))
            return None
        index = self._class(path, entry, numbers[0])
        height, width = size
        if len(numbers) >= _SMALLEST_SEGMENT:
            self.segments += 1
            xs, ys = numbers[1:-1:2], numbers[2:-1:2]
            x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
        else:
            cx, cy, w, h = numbers[1:-1]
            x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
        # As in JSON a box may be empty or stick out, which rounding does.
        if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 < x1 or y2 < y1:
            self.report(path, entry, BOX_RULE, shown(" ".join(words)))
            return None
        corners = [x1 * width, y1 * height, x2 * width, y2 * height]
        return None if index is None else (corners, index, score)

    def _class(self, path: str, entry: str, value: float) -> int | None:
        """The data set's class, None after reporting one that it lacks."""
        own = class_index(value, len(self.class_names))
        index = None if own is None else self._classes[own]
        if index is None:
            told = f"{value:g}" if own is None else shown(self.class_names[own])
            self.report(path, entry, KNOWN_CLASS, f"{told}; known are {shown(self._known)}")
        return index
