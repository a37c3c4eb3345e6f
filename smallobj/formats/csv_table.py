"""CSV with a box a row: file, class_id, class, score, x1, y1, x2, y2; detection writes it, too.

The score is empty for labels. Images without boxes have no row.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from typing import TextIO

from smallobj.data.labels.problems import Problem, shown
from smallobj.data.labels.reading import read_text
from smallobj.data.labels.rules import KNOWN_CLASS, rule
from smallobj.formats.box_reading import KNOWN_FILE, BoxReading, Source, slashed
from smallobj.formats.box_set import BoxSet, short
from smallobj.formats.targets import Target, write_file

COLUMNS = ("file", "class_id", "class", "score", "x1", "y1", "x2", "y2")
# As the columns; the score is None for labels.
Row = tuple[str, int, str, float | None, float, float, float, float]
_HEADER_RULE = f"the first line must be {','.join(COLUMNS)}"
_ROW_RULE = rule(
    "csv-row", f"a row must have {len(COLUMNS)} cells, the file's name in the first", dropped="row"
)
_ID_RULE = rule("csv-class-id", "class_id must be a whole number from 0", dropped="box")
_NAME_RULE = "a class_id must stand for one class"
_GAP_RULE = "without a file of class names, class ids must run from 0 without gaps"
_VALID_CSV = "the file must be valid CSV"


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections; with a folder of images, the images without boxes as well."""
    reading = BoxReading(policy=source.policy)
    reading.read_classes(source)
    if source.images:
        reading.list_folder(source.images)
    names: dict[int, str] = dict(enumerate(reading.class_names))
    text = read_text(source.path, reading)
    # newline="" leaves line breaks to csv: a quoted cell may hold one.
    rows = csv.reader(io.StringIO(text or "", newline=""), strict=True)
    try:
        header = next(rows, None)
        if text is not None and header != list(COLUMNS):
            reading.report(source.path, "line 1", _HEADER_RULE, shown(header))
            return reading.box_set(), reading.problems
        for row in rows:
            _add_row(row, (source.path, f"line {rows.line_num}"), names, source, reading)
    except csv.Error as error:
        reading.report(source.path, f"line {rows.line_num}", _VALID_CSV, str(error))
    missing = sorted(set(range(max(names, default=-1) + 1)) - set(names))
    if missing:
        reading.report(source.path, "class ids", _GAP_RULE, f"no class {missing[0]}")
    reading.class_names = [names[index] for index in sorted(names)]
    return reading.box_set(), reading.problems


def _add_row(
    row: list[str],
    place: tuple[str, str],
    names: dict[int, str],
    source: Source,
    reading: BoxReading,
) -> None:
    if len(row) != len(COLUMNS) or not row[0]:
        reading.report(*place, _ROW_RULE, shown(row))
        return
    path, class_id, name, score, *corners = row
    file = _below(path, source.images, reading)
    if source.images and file not in reading.boxes:
        reading.report(*place, KNOWN_FILE, shown(path))
        return
    if not source.images and file not in reading.boxes:
        reading.new_image(file, None, place)
    index = _class_index(class_id, name, place, names, reading)
    reading.add(file, index, reading.numbers(*place, corners), score or None, place=place)


def _below(path: str, folder: str, reading: BoxReading) -> str:
    """Name below the folder: rows carry the paths that detection was given."""
    file = slashed(path)
    if not folder or file in reading.boxes:
        return file
    return slashed(os.path.relpath(path, folder))


def _class_index(
    text: str,
    name: str,
    place: tuple[str, str],
    names: dict[int, str],
    reading: BoxReading,
) -> int | None:
    # isdigit alone takes superscripts, too, and int() raises for these and for very long texts.
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        reading.report(*place, _ID_RULE, shown(text))
        return None
    index = int(text)
    if reading.open_classes:
        names.setdefault(index, name)
    if index not in names:
        value = f"{index}; known are 0 to {len(names) - 1}"
        reading.report(*place, KNOWN_CLASS, value)
        return None
    if names[index] != name:
        value = f"{index} for {shown(names[index])} and {shown(name)}"
        reading.report(*place, _NAME_RULE, value)
        return None
    return index


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
