"""CSV with a box a row: file, class_id, class, score, x1, y1, x2, y2; detection writes it, too.

The score is empty for labels. Images without boxes have no row. Classes without boxes stand in the
list that goes along with it: see :mod:`smallobj.formats.class_list`.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable
from typing import TextIO

from smallobj.data.labels.problems import Problem
from smallobj.data.labels.tables.csv_table import COLUMNS, read_csv
from smallobj.formats.box_set import BoxSet, short
from smallobj.formats.dataset_boxes import converted
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, write_file

_logger = logging.getLogger(__name__)

# As the columns; the score is None for labels.
Row = tuple[str, int, str, float | None, float, float, float, float]


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections; with a folder of images, the images without boxes as well."""
    reading = read_csv(source.dataset("csv"), source.policy, source.class_names)
    return converted(reading, source)


class TableWriter:
    """Writes a table row by row, below the line that names the columns."""

    def __init__(self, stream: TextIO) -> None:
        """
        Args:
            stream: opened with newline="".
        """
        self._table = csv.writer(stream, lineterminator="\n")
        self._table.writerow(COLUMNS)

    def write(self, rows: Iterable[Row]) -> None:
        """Appends rows."""
        self._table.writerows(rows)


def write(boxes: BoxSet, target: Target) -> None:
    """Writes a row a box.

    Raises:
        ValueError: there are crowd regions.
    """
    masks = sum(mask is not None for image in boxes.images for mask in image.masks)
    if masks:
        _logger.warning("CSV holds no masks: only the boxes of %d objects are written", masks)
    text = io.StringIO()
    table = TableWriter(text)
    for image in boxes.images:
        if any(image.crowds):
            raise ValueError(
                f"{image.file}: CSV has no crowd regions, which would become objects "
                "(--drop-crowd leaves them out)"
            )
        rows = zip(image.boxes.tolist(), image.classes.tolist(), image.score_list, strict=True)
        table.write(
            (image.file, index, boxes.class_names[index], score, *map(short, corners))
            for corners, index, score in rows
        )
    write_file(target, target.path, text.getvalue())
