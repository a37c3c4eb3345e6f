"""AI-TOD's texts: one an image, with a line ``x1 y1 x2 y2 class`` an object.

AI-TOD's JSON is COCO's. Source: https://github.com/jwwangchn/AI-TOD
"""

from __future__ import annotations

from collections.abc import Iterator

from smallobj.data.labels.label_files import read_label_files
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, to_number
from smallobj.data.labels.outlines import Outline, upright
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_text
from smallobj.data.labels.rules import rule
from smallobj.data.labels.spec import DatasetSpec

# In the order of the ids in its JSON.
CLASSES = (
    *("airplane", "bridge", "storage-tank", "ship", "swimming-pool", "vehicle", "person"),
    "wind-mill",
)
_LINE_RULE = rule(
    "aitod-line", "a line must hold four numbers, x1 y1 x2 y2, and a class", dropped="box"
)

_Row = tuple[tuple[str, str], str, Outline]


def read_aitod(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads the boxes; without ``spec.classes`` the classes are AI-TOD's eight.

    Where another name occurs, they are the names that occur, sorted.
    """
    reading = DatasetReading(policy=policy)

    def read(path: str) -> list[_Row] | None:
        text = read_text(path, reading)
        return None if text is None else list(_rows(path, text, reading))

    found = list(read_label_files(spec, ".txt", read, reading))
    names = {name for _, rows in found for _, name, _ in rows}
    classes = NamedClasses(spec, reading, CLASSES if names <= set(CLASSES) else ())
    for image, rows in found:
        for place, name, outline in rows:
            add_object(reading, image, place, classes.index(name, place), outline)
    classes.sort()
    return reading


def _rows(path: str, text: str, reading: DatasetReading) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        corners = [value for value in map(to_number, words[:4]) if value is not None]
        if len(corners) < 4 or len(words) < 5:
            reading.report(path, f"line {number}", _LINE_RULE, shown(line.strip()))
            continue
        yield (path, f"line {number}"), " ".join(words[4:]), upright(*corners)
