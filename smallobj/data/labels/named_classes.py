"""Classes of formats whose labels carry names instead of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smallobj.data.labels.image_list import natural_key
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_listed_classes
from smallobj.data.labels.rules import FIX, KNOWN_CLASS, rule
from smallobj.data.labels.spec import DatasetSpec

_PLAIN_RULE = rule(
    "class-plain",
    "a label's class must be a text without blanks at its ends",
    FIX,
    fixed="class read as a plain text",
    dropped="box",
)
_EMPTY_RULE = rule("class-empty", "a label must have a class", dropped="box")


class NamedClasses:
    """Numbers of class names; without a list of names each new one becomes a class.

    Attributes:
        is_open: a name that was not seen before becomes a class.
    """

    def __init__(
        self, spec: DatasetSpec, reading: DatasetReading, names: Sequence[str] = ()
    ) -> None:
        """
        Args:
            spec: names the file of class names, if there is one.
            reading: receives the names and the problems.
            names: those that are known without a file.
        """
        self._reading = reading
        self.is_open = not (spec.classes or names)
        self._numbers: dict[str, int] = {}
        if spec.classes:
            reading.take_classes(read_listed_classes(spec.classes, reading))
            self._numbers = {name: number for number, name in enumerate(reading.class_names)}
        for name in () if spec.classes else names:
            self.add(name)

    def add(self, name: str) -> int:
        """Takes a class behind those before it; returns its number."""
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._reading.class_names):
            self._reading.class_names.append(name)
            self._reading.class_ids[number] = number
        return number

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def index(self, name: Any, place: tuple[str, str]) -> int | None:
        """Number of a class, None after reporting an unknown one, or what is no name.

        Args:
            name: as the label has it, a text or a number.
            place: file and entry that a problem names.
        """
        if isinstance(name, str) and name in self._numbers:
            return self._numbers[name]
        is_number = isinstance(name, int | float) and not isinstance(name, bool)
        plain = str(name).strip() if is_number or isinstance(name, str) else ""
        if not plain:
            self._reading.report(*place, _EMPTY_RULE, shown(name))
            return None
        if plain != name and self._reading.report(*place, _PLAIN_RULE, shown(name)) != FIX:
            return None
        if self.is_open:
            self._reading.only_occurring = True
            return self.add(plain)
        if plain in self._numbers:
            return self._numbers[plain]
        value = f"{shown(plain)}; known are {shown(self._reading.class_names)}"
        self._reading.report(*place, KNOWN_CLASS, value)
        return None

    def sort(self, ids: Mapping[str, int] | None = None) -> None:
        """Puts classes that the labels gave into the order of their names, "class 9" before 10.

        In the order of their first labels those of two data sets would seldom agree.

        Args:
            ids: of all classes, where the labels have some; their order then counts.
        """
        if not self.is_open:
            return
        before = self._reading.class_names
        if ids is None:
            self._reading.class_names = sorted(before, key=natural_key)
        else:
            self._reading.class_names = sorted(before, key=ids.__getitem__)
            places = {ids[name]: number for number, name in enumerate(self._reading.class_names)}
            self._reading.class_ids = places
        self._numbers = {name: number for number, name in enumerate(self._reading.class_names)}
        moved = [self._numbers[name] for name in before]
        for record in self._reading.records:
            for annotation in record["annotations"]:
                annotation["category_id"] = moved[annotation["category_id"]]
