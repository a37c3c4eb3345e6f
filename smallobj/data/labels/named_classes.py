"""Classes of formats whose labels carry names instead of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_class_file
from smallobj.data.labels.rules import KNOWN_CLASS
from smallobj.data.labels.spec import DatasetSpec


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
        for name in read_class_file(spec.classes, reading) if spec.classes else names:
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

    def index(self, name: str, place: tuple[str, str]) -> int | None:
        """Number of a class, None after reporting an unknown name.

        Args:
            name: as the label has it.
            place: file and entry that a problem names.
        """
        if self.is_open and name:
            return self.add(name)
        if name in self._numbers:
            return self._numbers[name]
        value = f"{shown(name)}; known are {shown(self._reading.class_names)}"
        self._reading.report(*place, KNOWN_CLASS, value)
        return None
