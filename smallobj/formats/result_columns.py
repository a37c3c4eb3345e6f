"""Detections of a JSON file of results as columns, before their numbers are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.formats.image_names import ImageNames

KNOWN_FILE = "the image must be one of the data set"
ONCE = "an image may occur once"


@dataclass
class ResultColumns:
    """Detections as they stand in the file, all lists equally long.

    Attributes:
        corners: boxes are x1, y1, x2, y2, not x, y, w, h.
        classes: the data set's class by class in the file.
        where: names an entry by its number here.
    """

    where: Callable[[int], str]
    classes: dict[int, int]
    corners: bool = False
    images: list[int] = field(default_factory=list)
    categories: list[Any] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)


class NamedImages:
    """The images of a data set by the names in one file of results, which may hold each once.

    Attributes:
        path: the file.
        log: takes what is wrong with it.
    """

    def __init__(self, paths: Sequence[str], path: str, log: ProblemLog) -> None:
        """
        Args:
            paths: of the images by number.
            path: the file of results.
            log: takes what is wrong with it.
        """
        self.path = path
        self.log = log
        self._names = ImageNames(paths)
        # By number, not by name: two names may mean one image.
        self._seen: set[int] = set()

    def number(self, file: str, entry: str) -> int | None:
        """Number of an image, None after reporting that it is unknown or occurs again."""
        number = self._names.find(file)
        if number is None:
            self.log.report(self.path, entry, KNOWN_FILE, shown(file))
        elif number in self._seen:
            self.log.report(self.path, entry, ONCE, f"{shown(file)} again")
            return None
        else:
            self._seen.add(number)
        return number


def entry_names(entries: Sequence[tuple[str, int]]) -> Callable[[int], str]:
    """Names entries given as (list, index in it)."""

    def name(index: int) -> str:
        place, number = entries[index]
        return f"{place}[{number}]"

    return name
