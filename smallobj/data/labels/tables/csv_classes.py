"""The class of a table's row: by a name, a number, or an attribute of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tables.csv_cells import json_cell
from smallobj.data.labels.tables.csv_columns import Columns
from smallobj.data.labels.tables.csv_options import CsvOptions

_NO_CLASS = rule(
    "csv-class-missing",
    "a table must have a column of classes",
    FIX,
    fixed="table without classes read as one of a single class",
)
_BY_NUMBER = rule(
    "class-by-number",
    "the class must be a name",
    FIX,
    fixed="class found by its number in the class file",
    dropped="box",
)
_KEY_RULE = (
    "it must be clear which attribute of a region is its class: say ?key=NAME behind the file"
)
_USUAL_KEYS = ("class", "label", "name", "type", "category", "object")
_ONLY_CLASS = "object"


class RowClasses:
    """Numbers of the classes of rows."""

    def __init__(
        self,
        spec: DatasetSpec,
        columns: Columns,
        options: CsvOptions,
        reading: DatasetReading,
        class_names: Sequence[str],
    ) -> None:
        """
        Args:
            spec: the dataset.
            columns: of the table.
            options: what the user says of it.
            reading: receives the classes and the problems.
            class_names: where they are known without a file.
        """
        self._path = spec.annotations
        self._columns = columns
        self._key = options.key
        self._reading = reading
        self._classes = NamedClasses(spec, reading, class_names)
        self._ids: dict[str, set[str]] = {}
        self._is_classless = False

    def prepare(self, rows: Sequence[Sequence[str]]) -> bool:
        """Finds out what tells the classes; False after reporting that nothing surely does."""
        if "attributes" in self._columns.places and "class" not in self._columns.places:
            return bool(self._key) or self._find_key(rows)
        if {"class", "class_id"} & set(self._columns.places):
            return True
        self._is_classless = True
        names = self._reading.class_names
        value = f"{_ONLY_CLASS if len(names) != 1 else names[0]!r} for each row"
        return self._reading.report(self._path, "columns", _NO_CLASS, value) == FIX

    def _find_key(self, rows: Sequence[Sequence[str]]) -> bool:
        found: dict[str, None] = {}
        for row in rows:
            found.update(dict.fromkeys(json_cell(self._columns.cell(row, "attributes")) or ()))
        usual = [key for key in found if key.lower() in _USUAL_KEYS]
        for keys in (list(found), usual):
            if len(keys) == 1:
                self._key = keys[0]
        if found and not self._key:
            self._reading.report(self._path, "region_attributes", _KEY_RULE, shown(list(found)))
        return bool(self._key) or not found

    def index(self, row: Sequence[str], place: tuple[str, str]) -> int | None:
        """Number of a row's class, None after reporting why there is none."""
        name = self._name(row)
        if not self._classes.is_open and isinstance(name, str) and name not in self._classes:
            number = self._by_number(name, place)
            if number is not None:
                return number
        found = self._classes.index(name, place)
        if found is not None and {"class", "class_id"} <= set(self._columns.places):
            known = self._reading.class_names[found]
            self._ids.setdefault(known, set()).add(self._columns.cell(row, "class_id"))
        return found

    def _name(self, row: Sequence[str]) -> Any:
        if self._is_classless:
            names = self._reading.class_names
            return names[0] if len(names) == 1 else _ONLY_CLASS
        if self._key:
            value = (json_cell(self._columns.cell(row, "attributes")) or {}).get(self._key)
            if isinstance(value, dict):  # of check boxes; one that is ticked is a class
                ticked = [name for name, is_ticked in value.items() if is_ticked]
                return ticked[0] if len(ticked) == 1 else None
            return value
        return self._columns.cell(row, "class") or self._columns.cell(row, "class_id")

    def _by_number(self, text: str, place: tuple[str, str]) -> int | None:
        is_number = text.isascii() and text.isdigit() and len(text) < 10
        index = self._reading.class_ids.get(int(text)) if is_number else None
        if index is None:
            return None
        value = f"{text} for {shown(self._reading.class_names[index])}"
        return index if self._reading.report(*place, _BY_NUMBER, value) == FIX else None

    def finish(self) -> None:
        """Puts classes without a list into order: of their ids where each has one, else by name."""
        ids = [(name, next(iter(found))) for name, found in self._ids.items() if len(found) == 1]
        numbers = {name: int(text) for name, text in ids if text.isascii() and text.isdigit()}
        is_known = len(set(numbers.values())) == len(self._reading.class_names) == len(numbers)
        self._classes.sort(numbers if is_known else None)
