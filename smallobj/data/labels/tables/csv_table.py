"""Tables (CSV) with a box a row: this project's own, and by recognized columns those of others.

The own columns are file, class_id, class, score, x1, y1, x2, y2; detection writes them, too. The
score is empty for labels. Images without boxes have no row.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence

from smallobj.data.labels.listed_images import (
    KNOWN_FILE,
    ListedImage,
    ListedImages,
    Listing,
    slashed,
)
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, read_numbers
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_text
from smallobj.data.labels.rules import rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tables.csv_columns import UnclearColumnsError, find_columns
from smallobj.data.labels.tables.csv_foreign import ForeignTable
from smallobj.data.labels.tables.csv_options import DELIMITERS, CsvOptions, split_options

COLUMNS = ("file", "class_id", "class", "score", "x1", "y1", "x2", "y2")
_HEADER_RULE = (
    f"the first line must be {','.join(COLUMNS)}, or name columns that can be recognized or are "
    "told behind the file: FILE.csv?file=NAME&class=NAME&x1=NAME&y1=NAME&x2=NAME&y2=NAME"
)
_ROW_RULE = rule(
    "csv-row", f"a row must have {len(COLUMNS)} cells, the file's name in the first", dropped="row"
)
_ID_RULE = rule("csv-class-id", "class_id must be a whole number from 0", dropped="box")
_NAME_RULE = "a class_id must stand for one class"
_ONE_ID = "a class must have one class_id"
VALID_CSV = "the file must be valid CSV"


def read_csv(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, class_names: Sequence[str] = ()
) -> DatasetReading:
    """Labels or detections; with a folder of images, the images without boxes as well.

    In this project's own table a row's name decides its class where the class names are known, else
    its class_id does, and these may have gaps.

    Args:
        spec: the dataset; its folder of images may be "". Behind the file's path may stand what
            its columns hold: :mod:`smallobj.data.labels.tables.csv_options`.
        policy: what is done about broken rules.
        class_names: where they are known without a file.

    Raises:
        ValueError: what is said of the columns is no choice.
    """
    path, options = split_options(spec.annotations)
    spec = dataclasses.replace(spec, annotations=path)
    reading = DatasetReading(policy=policy)
    if not reading.has_folder(spec.images, "image folder"):
        return reading
    text = read_text(path, reading)
    if text is None:
        return reading
    rows, delimiter = _rows(text, options, path, reading)
    first, line = next(rows, ([], 1))
    if first == list(COLUMNS) and options == CsvOptions():
        table = _Table(spec, reading, class_names)
        for row, line in rows:
            table.add_row(row, (path, f"line {line}"))
        table.finish()
        return reading
    try:
        columns = find_columns(first, options)
    except UnclearColumnsError as error:
        reading.report(path, f"line {line}", _HEADER_RULE, str(error))
        return reading
    foreign = ForeignTable(spec, columns, options, delimiter != ",", reading, class_names)
    foreign.read([*([] if columns.has_header else [(first, line)]), *rows])
    return reading


def _rows(
    text: str, options: CsvOptions, path: str, reading: DatasetReading
) -> tuple[Iterator[tuple[list[str], int]], str]:
    """The rows of a table with the numbers of their lines, and what separates their cells."""
    body, before = text.lstrip("\n"), len(text) - len(text.lstrip("\n"))
    start = body.split("\n", 1)[0]
    delimiter = options.delimiter
    # Excel's own line that says what separates the cells.
    if len(start) == 5 and start.lower().startswith("sep="):
        delimiter = delimiter or start[4]
        body, before = body[len(start) + 1 :], before + 1
        start = body.split("\n", 1)[0]
    delimiter = delimiter or max(DELIMITERS.values(), key=lambda one: _number_of_cells(start, one))
    return _parsed(body, delimiter, before, path, reading), delimiter


def _number_of_cells(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter), []))


def _parsed(
    text: str, delimiter: str, before: int, path: str, reading: DatasetReading
) -> Iterator[tuple[list[str], int]]:
    # newline="" leaves line breaks to csv: a quoted cell may hold one.
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            if any(row):
                yield row, rows.line_num + before
    except csv.Error as error:
        reading.report(path, f"line {rows.line_num + before}", VALID_CSV, str(error))


class _Table:
    def __init__(
        self, spec: DatasetSpec, reading: DatasetReading, class_names: Sequence[str]
    ) -> None:
        self._spec = spec
        self._reading = reading
        self._classes = NamedClasses(spec, reading, class_names)
        # As the rows have them, where there is no list.
        self._names: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        # By image, in the order of their first rows.
        self._rows: dict[str, list[tuple[list[str], tuple[str, str]]]] = {}

    def add_row(self, row: list[str], place: tuple[str, str]) -> None:
        if len(row) != len(COLUMNS) or not row[0]:
            self._reading.report(*place, _ROW_RULE, shown(row))
            return
        self._rows.setdefault(row[0], []).append((row, place))

    def _image_names(self, path: str) -> list[str]:
        """Names below the folder, best first: rows carry the paths that detection was given."""
        file = slashed(path)
        if not self._spec.images:
            return [file]
        return [file, slashed(os.path.relpath(path, self._spec.images))]

    def _read_row(self, image: ListedImage, row: list[str], place: tuple[str, str]) -> None:
        _, class_id, name, score, *corners = row
        index = self._class_index(class_id, name, place)
        numbers = read_numbers(self._reading, place, corners)
        outline = None
        if numbers is not None:
            x1, y1, x2, y2 = numbers
            outline = Outline((x1, y1, x2, y2))
        add_object(self._reading, image, place, index, outline, score=score or None)

    def _class_index(self, text: str, name: str, place: tuple[str, str]) -> int | None:
        # isdigit alone takes superscripts, too, and int() raises for these and for very long texts.
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            self._reading.report(*place, _ID_RULE, shown(text))
            return None
        if not self._classes.is_open:
            return self._known_index(int(text), name, place)
        identity = int(text)
        known = self._names.setdefault(identity, name)
        if known != name:
            value = f"{identity} for {shown(known)} and {shown(name)}"
            self._reading.report(*place, _NAME_RULE, value)
            return None
        first = self._ids.setdefault(name, identity)
        if first != identity:
            value = f"{first} and {identity} for {shown(name)}"
            self._reading.report(*place, _ONE_ID, value)
            return None
        return identity

    def _known_index(self, identity: int, name: str, place: tuple[str, str]) -> int | None:
        """The class where the names are known: the name decides, as a model may number others."""
        if not name and identity < len(self._reading.class_names):
            return identity
        return self._classes.index(name, place)

    def finish(self) -> None:
        """Numbers the classes where only the rows name them; their ids may have gaps."""
        images = ListedImages(self._spec.images, self._reading)
        listings = [
            Listing(self._image_names(path), None, rows[0][1], rows)
            for path, rows in self._rows.items()
        ]
        for image, listing in images.add(listings, KNOWN_FILE):
            for row, place in listing.content:
                self._read_row(image, row, place)
            listing.content.clear()  # of a million rows, both forms would fill the memory
        if self._spec.images:
            images.add_others()
        images.finish(in_order_of_names=bool(self._spec.images))
        if not self._classes.is_open:
            return
        self._reading.only_occurring = True
        ids = sorted(self._names)
        self._reading.class_names = [self._names[identity] for identity in ids]
        self._reading.class_ids = {identity: index for index, identity in enumerate(ids)}
        for record in self._reading.records:
            for annotation in record["annotations"]:
                annotation["category_id"] = self._reading.class_ids[annotation["category_id"]]
