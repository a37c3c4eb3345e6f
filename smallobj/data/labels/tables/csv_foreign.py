"""Tables of other programs: an object a row, whatever their columns are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from smallobj.data.labels.listed_images import (
    KNOWN_FILE,
    ListedImage,
    ListedImages,
    Listing,
    slashed,
)
from smallobj.data.labels.objects import add_object, read_numbers, to_number, whole_size
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, TOLERANCE, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tables.csv_cells import (
    BBOX_RULE,
    SHAPE_RULE,
    bbox_numbers,
    corners_of,
    is_empty,
    json_cell,
    shape_outline,
    with_points,
)
from smallobj.data.labels.tables.csv_classes import RowClasses
from smallobj.data.labels.tables.csv_columns import Columns
from smallobj.data.labels.tables.csv_options import CsvOptions
from smallobj.data.labels.told_size import UNKNOWN_SIZE

ROW_RULE = rule(
    "csv-cells",
    "a row must have as many cells as the first line, one of them the image's name",
    dropped="row",
)
_COLUMNS_RULE = rule(
    "csv-columns",
    "a table must have this project's columns",
    FIX,
    fixed="table read by other columns",
)
_SHARES_RULE = rule(
    "csv-shares",
    "coordinates must be in pixels",
    FIX,
    fixed="table of shares of the image's sides, as no coordinate exceeds 1",
)
_FIRST_PIXEL = rule(
    "csv-first-pixel",
    "in a table of pixels no box may lie in the first pixel of its image: it looks like one of "
    "shares (?relative=yes or no behind the file decides)",
    dropped="box",
)
_CERTAIN_RULE = rule(
    "csv-certain",
    "a table of labels must have no scores",
    FIX,
    fixed="column of scores left out, as all are 1",
)
_SETS_RULE = (
    "a table of several sets must be read one by one: say ?only=NAME behind the file, or ?only=all"
)
_FORM_RULE = (
    "it must be clear whether a bbox is x, y, w, h or x1, y1, x2, y2: say ?box=xywh or ?box=xyxy "
    "behind the file"
)
# Above 1, for shares that were rounded.
_LARGEST_SHARE = 1.001


class _Row(NamedTuple):
    cells: Sequence[str]
    place: tuple[str, str]


class _Object(NamedTuple):
    """What a row says of an object: four numbers, or an outline; neither of an empty image."""

    row: _Row
    numbers: list[float] | None = None
    outline: Outline | None = None


class ForeignTable:
    """A table being read."""

    def __init__(
        self,
        spec: DatasetSpec,
        columns: Columns,
        options: CsvOptions,
        has_commas: bool,
        reading: DatasetReading,
        class_names: Sequence[str] = (),
    ) -> None:
        """
        Args:
            spec: the dataset; its annotations are the path of the table alone.
            columns: of the table.
            options: what the user says of it.
            has_commas: numbers may have a decimal comma.
            reading: receives records and problems.
            class_names: where they are known without a file.
        """
        self._spec = spec
        self._columns = columns
        self._options = options
        self._has_commas = has_commas
        self._reading = reading
        self._classes = RowClasses(spec, columns, options, reading, class_names)
        # Of the sets that are not wanted.
        self._other_images: list[str] = []
        self._form = options.box or "xywh" if columns.form == "bbox" else columns.form

    def read(self, rows: Sequence[tuple[list[str], int]]) -> None:
        """Reads all rows, given with the numbers of their lines."""
        path = self._spec.annotations
        if self._reading.report(path, "line 1", _COLUMNS_RULE, str(self._columns)) != FIX:
            return
        kept = self._kept_rows(rows)
        by_image: dict[str, list[_Object]] = {}
        for row in kept:
            by_image.setdefault(self._cell(row, "file"), []).extend(self._objects(row))
        listings = [
            Listing(self._image_names(name), self._size(objects[0].row), objects[0].row.place, name)
            for name, objects in by_image.items()
        ]
        is_relative = self._is_relative(by_image)
        if is_relative is None or not self._classes.prepare([row.cells for row in kept]):
            return
        has_scores = self._has_scores(kept)
        images = ListedImages(self._spec.images, self._reading)
        found = [
            (image, objects)
            for image, listing in images.add(listings, KNOWN_FILE)
            for objects in [by_image[listing.content]]
        ]
        if self._is_clear(found):
            for image, objects in found:
                self._add_all(image, objects, is_relative, has_scores)
        if self._spec.images:
            images.leave_out(map(self._image_names, self._other_images))
            images.add_others()
        images.finish(in_order_of_names=bool(self._spec.images))
        self._classes.finish()

    def _kept_rows(self, rows: Sequence[tuple[list[str], int]]) -> list[_Row]:
        """The rows of the set that is wanted; those that are broken are reported."""
        width = len(self._columns.names)
        kept = []
        for cells, line in rows:
            row = _Row(cells, (self._spec.annotations, f"line {line}"))
            # Spreadsheets put empty cells behind the others.
            is_broken = len(cells) != width and not _is_padded(cells, width)
            if is_broken or is_empty(self._cell(row, "file")):
                self._reading.report(*row.place, ROW_RULE, shown(cells))
            else:
                kept.append(row)
        only = self._options.only.lower()
        if "set" not in self._columns.places or only == "all":
            return kept
        sets = Counter(self._cell(row, "set") for row in kept)
        if only not in map(str.lower, sets) if only else len(sets) > 1:
            name = self._columns.names[self._columns.places["set"]]
            value = ", ".join(f"{count} rows of {shown(name)}" for name, count in sets.items())
            entry = f"column {name!r}" if self._columns.has_header else name
            self._reading.report(self._spec.annotations, entry, _SETS_RULE, value)
            return []
        if not only:
            return kept
        others = [row for row in kept if self._cell(row, "set").lower() != only]
        self._other_images = list(dict.fromkeys(self._cell(row, "file") for row in others))
        return [row for row in kept if self._cell(row, "set").lower() == only]

    def _cell(self, row: _Row, role: str) -> str:
        return self._columns.cell(row.cells, role)

    def _image_names(self, name: str) -> list[str]:
        """Names below the folder of images, best first."""
        if not self._spec.images:
            return [slashed(name)]
        return [name, os.path.relpath(name, self._spec.images), name]

    def _size(self, row: _Row) -> tuple[int, int] | None:
        return whole_size(self._cell(row, "width"), self._cell(row, "height"))

    def _objects(self, row: _Row) -> list[_Object]:
        """The objects of a row; one without a place where the image holds none."""
        cells = [row.cells[place] for place in self._columns.box]
        if all(map(is_empty, cells)) or cells in (["[]"], ["{}"]):
            return [_Object(row)]
        if self._columns.form == "shape":
            shape = json_cell(cells[0])
            if shape is None:
                self._reading.report(*row.place, SHAPE_RULE, shown(cells[0]))
                return [_Object(row)]
            return [_Object(row, outline=shape_outline(shape, row.place, self._reading))]
        if self._columns.form == "bbox":
            boxes = bbox_numbers(cells[0])
            if boxes is None:
                self._reading.report(*row.place, BBOX_RULE, shown(cells[0]))
                return [_Object(row)]
            return [_Object(row, box) for box in boxes]
        numbers = read_numbers(self._reading, row.place, with_points(cells, self._has_commas))
        return [_Object(row, numbers)]

    def _is_relative(self, by_image: dict[str, list[_Object]]) -> bool | None:
        """Whether coordinates are shares; None after reporting that they may not be."""
        if self._options.relative is not None:
            return self._options.relative
        values = [
            value for objects in by_image.values() for one in objects for value in one.numbers or ()
        ]
        if not values or not -_LARGEST_SHARE <= min(values) <= max(values) <= _LARGEST_SHARE:
            return False
        place = (self._spec.annotations, "coordinates")
        value = f"{min(values):g} to {max(values):g}"
        return True if self._reading.report(*place, _SHARES_RULE, value) == FIX else None

    def _has_scores(self, rows: Sequence[_Row]) -> bool:
        """Whether there are scores; those of people's labels are all 1."""
        if "score" not in self._columns.places:
            return False
        if not rows or any(to_number(self._cell(row, "score")) != 1 for row in rows):
            return True
        place = (self._spec.annotations, "scores")
        return self._reading.report(*place, _CERTAIN_RULE, f"{len(rows)} times 1") != FIX

    def _is_clear(self, found: Sequence[tuple[ListedImage, Sequence[_Object]]]) -> bool:
        """Whether a bbox is surely x, y, w, h; False after reporting that it may be corners."""
        if self._columns.form != "bbox" or self._options.box:
            return True
        boxes = [
            (one.numbers, image.size)
            for image, objects in found
            for one in objects
            if one.numbers and image.size
        ]
        beyond = [box for box, size in boxes if _sticks_out(corners_of(box, "xywh"), size)]
        as_corners = [box for box, size in boxes if box[2] > box[0] and box[3] > box[1]]
        fitting = [box for box, size in boxes if not _sticks_out(corners_of(box, "xyxy"), size)]
        if not beyond or len(as_corners) < len(boxes) or len(fitting) < len(boxes):
            return True
        self._reading.report(self._spec.annotations, "bbox", _FORM_RULE, shown(beyond[0]))
        return False

    def _add_all(
        self, image: ListedImage, objects: Sequence[_Object], is_relative: bool, has_scores: bool
    ) -> None:
        for one in objects:
            if one.numbers is None and one.outline is None:
                continue
            outline = one.outline or self._outline(one, image, is_relative)
            score = self._cell(one.row, "score") if has_scores else ""
            add_object(
                self._reading,
                image,
                one.row.place,
                self._classes.index(one.row.cells, one.row.place),
                outline,
                score=with_points([score], self._has_commas)[0] or None,
                crowd=self._cell(one.row, "crowd").lower() in ("1", "true", "yes"),
            )

    def _outline(self, one: _Object, image: ListedImage, is_relative: bool) -> Outline | None:
        corners = corners_of(one.numbers or (), self._form)
        if is_relative:
            if image.size is None:
                self._reading.report(*one.row.place, UNKNOWN_SIZE, "none")
                return None
            # Of the image itself, whatever size the table tells.
            height, width = image.size
            across, along = width / image.scale[0], height / image.scale[1]
            x1, y1, x2, y2 = corners
            return Outline((x1 * across, y1 * along, x2 * across, y2 * along))
        is_told = self._options.relative is not None
        if not is_told and max(corners) <= _LARGEST_SHARE:
            self._reading.report(*one.row.place, _FIRST_PIXEL, shown(one.numbers))
            return None
        return Outline(corners)


def _is_padded(cells: Sequence[str], width: int) -> bool:
    return len(cells) > width and all(map(is_empty, cells[width:]))


def _sticks_out(corners: Sequence[float], size: tuple[int, int] | None) -> bool:
    height, width = size or (0, 0)
    return corners[2] > width + TOLERANCE or corners[3] > height + TOLERANCE
