"""The objects of a Pascal VOC file: boxes, and the polygons and turned boxes of other tools."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from smallobj.data.labels.objects import read_numbers
from smallobj.data.labels.outlines import Outline, polygon, turned_box, upright
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import DROP, rule

_OBJECT_RULE = rule(
    "voc-object",
    "an object must have a name, and a bndbox with xmin, ymin, xmax and ymax, a polygon or a "
    "robndbox",
    dropped="object",
)
_PART_RULE = rule("voc-part", "parts of objects are not read", DROP, dropped="part of an object")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_TURNED = ("cx", "cy", "w", "h", "angle")


@dataclasses.dataclass(frozen=True)
class VocObject:
    """An object as the file has it.

    Attributes:
        place: file and line.
        name: its class.
        outline: in the file's coordinates.
        is_difficult: it is marked as hard to recognise.
    """

    place: tuple[str, str]
    name: str
    outline: Outline
    is_difficult: bool


def read_objects(
    root: Element, lines: dict[Element, int], path: str, reading: DatasetReading
) -> Iterator[VocObject]:
    """The objects of a file; reports those that can't be read.

    Args:
        root: the element ``annotation``.
        lines: of the elements.
        path: of the file.
        reading: receives the problems.
    """
    for element in root.iter("object"):
        place = (path, f"line {lines[element]}")
        for part in element.findall("part"):
            name = shown((part.findtext("name") or "").strip())
            reading.report(path, f"line {lines[part]}", _PART_RULE, name)
        name = (element.findtext("name") or "").strip()
        outline = _outline(element, place, reading) if name else None
        if outline is not None:
            yield VocObject(place, name, outline, _is_yes(element.findtext("difficult")))
        elif not name:
            reading.report(*place, _OBJECT_RULE, "no name")


def _is_yes(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes")


def _outline(element: Element, place: tuple[str, str], reading: DatasetReading) -> Outline | None:
    """What an object covers, None after reporting why it isn't known."""
    points = _points(element.find("polygon"))
    box, turned = element.find("bndbox"), element.find("robndbox")
    if box is not None:
        values = [(box.findtext(tag) or "").strip() for tag in _CORNERS]
        numbers = read_numbers(reading, place, values) if all(values) else None
        if numbers is not None:
            polygons = read_numbers(reading, place, points) if points else None
            outline = upright(*numbers)
            return dataclasses.replace(outline, polygons=[polygons]) if polygons else outline
        if all(values):
            return None
    elif turned is not None:
        values = [(turned.findtext(tag) or "").strip() for tag in _TURNED]
        numbers = read_numbers(reading, place, values) if all(values) else None
        if numbers is not None:
            cx, cy, w, h, angle = numbers
            corners = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            return turned_box(corners, math.degrees(angle), "turned box")
        if all(values):
            return None
    elif points:
        numbers = read_numbers(reading, place, points)
        return None if numbers is None else polygon(numbers, "polygon")
    reading.report(*place, _OBJECT_RULE, shown([child.tag for child in element]))
    return None


def _points(element: Element | None) -> Sequence[str]:
    """x1, y1, ... of a polygon: <x1/><y1/><x2/>... or <pt><x/><y/></pt>...; empty without one."""
    if element is None:
        return ()
    found = [text.strip() for pt in element.findall("pt") for text in _pair(pt, "x", "y")]
    number = 1
    while element.find(f"x{number}") is not None:
        found += [text.strip() for text in _pair(element, f"x{number}", f"y{number}")]
        number += 1
    return found if len(found) >= 6 else ()


def _pair(element: Element, x: str, y: str) -> tuple[str, str]:
    return element.findtext(x) or "", element.findtext(y) or ""


def moved_to_zero(outline: Outline) -> Outline:
    """An outline of pixels counted from 1, the last one named, as edges counted from 0.

    >>> moved_to_zero(Outline((1.0, 1.0, 10.0, 20.0))).corners
    (0.0, 0.0, 10.0, 20.0)
    """
    x1, y1, x2, y2 = outline.corners
    polygons = [[value - 0.5 for value in points] for points in outline.polygons]
    return dataclasses.replace(outline, corners=(x1 - 1, y1 - 1, x2, y2), polygons=polygons)
