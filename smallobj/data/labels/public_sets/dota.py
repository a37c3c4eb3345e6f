"""DOTA: a text an image, with a line ``x1 y1 x2 y2 x3 y3 x4 y4 class difficult`` an object.

Source: https://captain-whu.github.io/DOTA/dataset.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from smallobj.data.labels.label_files import read_label_files
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, to_number
from smallobj.data.labels.outlines import Outline, polygon
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_text
from smallobj.data.labels.rules import FIX, OBJECT_DIFFICULT, rule
from smallobj.data.labels.spec import DatasetSpec

_LINE_RULE = rule(
    "dota-line",
    "a line must hold eight numbers, a class and 0 or 1 for difficult objects",
    dropped="object",
)
_HEADERS = ("imagesource", "gsd", "acquisition")


class _Row(NamedTuple):
    place: tuple[str, str]
    name: str
    outline: Outline
    is_difficult: bool


def read_dota(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads the upright boxes around the objects, and keeps their quadrangles.

    Classes come from ``spec.classes``, else they are the names that occur, sorted. A difficult
    object becomes a crowd region, which evaluation passes over.
    """
    reading = DatasetReading(policy=policy)
    classes = NamedClasses(spec, reading)

    def read(path: str) -> list[_Row] | None:
        text = read_text(path, reading)
        return None if text is None else list(_rows(path, text, reading))

    rows: list[_Row]
    for image, rows in read_label_files(spec, ".txt", read, reading):
        for place, name, outline, is_difficult in rows:
            if is_difficult and reading.report(*place, OBJECT_DIFFICULT, shown(name)) != FIX:
                continue
            index = classes.index(name, place)
            add_object(reading, image, place, index, outline, crowd=is_difficult)
    classes.sort()
    return reading


def _rows(path: str, text: str, reading: DatasetReading) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.replace(",", " ").split()
        if not words or words[0].strip("'\"").lower().startswith(_HEADERS):
            continue
        points = [value for value in map(to_number, words[:8]) if value is not None]
        # The last word says whether it is difficult; some writers leave it out.
        has_flag = len(words) > 9 and words[-1].isdigit()
        name = " ".join(words[8:-1] if has_flag else words[8:])
        if len(points) < 8 or not name:
            reading.report(path, f"line {number}", _LINE_RULE, shown(line.strip()))
            continue
        is_difficult = has_flag and int(words[-1]) > 0
        yield _Row((path, f"line {number}"), name, polygon(points, "quadrangle"), is_difficult)
