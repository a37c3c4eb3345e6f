"""VisDrone: a text an image, a line an object.

``left,top,width,height,score,category,truncation,occlusion``, in pixels; a comma may follow.
Category 0 are regions in which nothing counts, 11 are objects of no class, and a score of 0 marks
objects that don't count. Source: http://aiskyeye.com/evaluate/results-format_2021/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from smallobj.data.labels.label_files import read_label_files
from smallobj.data.labels.listed_classes import ListedClasses
from smallobj.data.labels.listed_images import ListedImage
from smallobj.data.labels.objects import add_object, to_number
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.public_sets.ignored import add_ignored
from smallobj.data.labels.reading import DatasetReading, read_listed_classes, read_text
from smallobj.data.labels.rules import DROP, FIX, KNOWN_CLASS, OBJECT_IGNORED, rule
from smallobj.data.labels.spec import DatasetSpec

CLASSES = (
    *("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle"),
    *("bus", "motor"),
)
_IGNORED, _OTHERS = 0, 11
_LINE_RULE = rule(
    "visdrone-line",
    "a line must hold eight numbers, left,top,width,height,score,category,truncation,occlusion",
    dropped="box",
)
_OTHERS_RULE = rule(
    "visdrone-others",
    "an object must be of one of the ten classes; category 11 are others",
    DROP,
    fixed="object of no class read as a crowd region of every class",
    dropped="object of no class",
)


class _Row(NamedTuple):
    place: tuple[str, str]
    outline: Outline
    category: int
    counts: bool


def read_visdrone(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads the boxes of the ten classes; their category ids are 1 to 10.

    A region in which nothing counts becomes a crowd region of every class: a detection of any
    class that lies in it is passed over in evaluation. Category 11 is left out, as VisDrone's own
    evaluation does. ``spec.classes`` gives the classes other names.
    """
    reading = DatasetReading(policy=policy)
    reading.take_classes(_classes(spec, reading))

    def read(path: str) -> list[_Row] | None:
        text = read_text(path, reading)
        return None if text is None else list(_rows(path, text, reading))

    for image, rows in read_label_files(spec, ".txt", read, reading):
        for row in rows:
            _add(row, image, reading)
    return reading


def _classes(spec: DatasetSpec, reading: DatasetReading) -> ListedClasses:
    if not spec.classes:
        return ListedClasses(dict(enumerate(CLASSES, start=1)))
    names = read_listed_classes(spec.classes, reading).names
    # A list counts from 0, classes from 1; a list with ignored and others counts as they do.
    shift = int(0 in names and len(names) < _OTHERS)
    listed = {identity + shift: name for identity, name in names.items()}
    return ListedClasses({i: name for i, name in listed.items() if i not in (_IGNORED, _OTHERS)})


def _rows(path: str, text: str, reading: DatasetReading) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        words = line.strip().rstrip(",").replace(",", " ").split()
        values = [value for value in map(to_number, words) if value is not None]
        # Truncation and occlusion may be left out: they aren't read.
        if len(values) < len(words) or not 6 <= len(values) <= 8 or not values[5].is_integer():
            reading.report(path, f"line {number}", _LINE_RULE, shown(line.strip()))
            continue
        left, top, width, height, score, category = values[:6]
        outline = Outline((left, top, left + width, top + height))
        yield _Row((path, f"line {number}"), outline, int(category), score != 0)


def _add(row: _Row, image: ListedImage, reading: DatasetReading) -> None:
    place, outline, category, counts = row
    if category in (_IGNORED, _OTHERS):
        broken = OBJECT_IGNORED if category == _IGNORED else _OTHERS_RULE
        if reading.report(*place, broken, f"category {category}") == FIX:
            add_ignored(reading, image, place, outline)
        return
    index = reading.class_of(category)
    if index is None:
        reading.report(*place, KNOWN_CLASS, f"{category}; {reading.known_classes()}")
    if not counts and reading.report(*place, OBJECT_IGNORED, "score 0") != FIX:
        return
    add_object(reading, image, place, index, outline, crowd=not counts)
