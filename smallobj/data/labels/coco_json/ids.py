"""Ids in COCO files: integers, or the texts that some tools write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, rule

_TEXT_ID = rule("id-text", "an id must be an integer", FIX, fixed="id taken from a text")


class Ids:
    """The ids of one list: integers if all stand for integers, else texts."""

    def __init__(self, values: Iterable[Any], reading: DatasetReading, file: str, what: str):
        """
        Args:
            values: all ids of the list; values of other types are passed over.
            reading: counts the ids that are no integers.
            file, what: name the list.
        """
        known = [value for value in values if _is_id(value)]
        self._are_numbers = all(_number(value) is not None for value in known)
        for value in known:
            if isinstance(value, int):
                continue
            if reading.report(file, what, _TEXT_ID, repr(value)) != FIX:
                break

    def of(self, value: Any) -> int | str | None:
        """The id that a value stands for; None if it is none."""
        if not _is_id(value):
            return None
        number = _number(value)
        if self._are_numbers:
            return number
        return str(value if number is None or isinstance(value, str) else number)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: int | float | str) -> int | None:
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, int):
        return value
    # isdigit alone takes superscripts, and int() raises for these and for very long texts.
    if value.isascii() and value.removeprefix("-").isdigit() and len(value) < 19:
        number = int(value)
        # "007" and "7" may be two ids.
        return number if str(number) == value else None
    return None
