"""Detections of a JSON file of results as columns, before their numbers are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


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


def entry_names(entries: Sequence[tuple[str, int]]) -> Callable[[int], str]:
    """Names entries given as (list, index in it)."""

    def name(index: int) -> str:
        place, number = entries[index]
        return f"{place}[{number}]"

    return name
