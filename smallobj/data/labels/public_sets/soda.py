"""SODA-A: a JSON file an image, with ``annotations`` of ``poly`` and ``category_id``.

SODA-D is one COCO file a split. Both have a category ``ignore``, of regions in which nothing
counts. Source: https://shaunyuan22.github.io/SODA
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from smallobj.data.labels.coco_json.coco import read_coco
from smallobj.data.labels.label_files import read_label_files
from smallobj.data.labels.listed_classes import ListedClasses
from smallobj.data.labels.listed_images import ListedImage
from smallobj.data.labels.objects import add_object, read_numbers
from smallobj.data.labels.outlines import Outline, polygon
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.public_sets.ignored import add_ignored, ignore_class
from smallobj.data.labels.reading import DatasetReading, read_json, read_listed_classes
from smallobj.data.labels.rules import FIX, KNOWN_CLASS, OBJECT_IGNORED, rule
from smallobj.data.labels.spec import DatasetSpec

IGNORE = "ignore"
_FILE_RULE = "the file must be a JSON object with the lists annotations and categories"
_CATEGORIES_RULE = "a category must have an id and a name, the same in all files"
_OBJECT_RULE = rule(
    "soda-object",
    "an object must have a category_id and a poly of three or more points",
    dropped="object",
)


def read_soda(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads the boxes around SODA-A's polygons, which are kept, or a COCO file of SODA-D.

    Objects of the category "ignore" become crowd regions of every class. ``spec.classes`` gives
    SODA-A's categories other names, by id.
    """
    if os.path.isfile(spec.annotations):
        reading = read_coco(dataclasses.replace(spec, format="coco", classes=""), policy)
        ignore_class(reading, IGNORE)
        return reading
    reading = DatasetReading(policy=policy)
    names: dict[int, str] = {}

    def read(path: str) -> tuple[str, list[Any]] | None:
        content = read_json(path, reading)
        if content is None:
            return None
        objects = content.get("annotations") if isinstance(content, dict) else None
        if not isinstance(objects, list) or not isinstance(content.get("categories"), list):
            reading.report(path, "whole file", _FILE_RULE, shown(content))
            return None
        _read_categories(path, content["categories"], names, reading)
        return path, objects

    found = list(read_label_files(spec, ".json", read, reading))
    ignored = {identity for identity, name in names.items() if name.lower() == IGNORE}
    if spec.classes:
        names = dict(read_listed_classes(spec.classes, reading).names)
    kept = {identity: names[identity] for identity in sorted(names) if identity not in ignored}
    reading.take_classes(ListedClasses(kept))
    for image, (path, objects) in found:
        for number, entry in enumerate(objects):
            _add(entry, (path, f"annotations[{number}]"), image, ignored, reading)
    return reading


def _read_categories(
    path: str, entries: list[Any], names: dict[int, str], reading: DatasetReading
) -> None:
    for number, entry in enumerate(entries):
        identity = entry.get("id") if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        is_good = isinstance(identity, int) and isinstance(name, str)
        if is_good and names.setdefault(identity, name) == name:  # type: ignore[arg-type]
            continue
        reading.report(path, f"categories[{number}]", _CATEGORIES_RULE, shown(entry))


def _add(
    entry: Any,
    place: tuple[str, str],
    image: ListedImage,
    ignored: set[int],
    reading: DatasetReading,
) -> None:
    outline = _outline(entry, place, reading)
    if outline is None:
        return
    category = entry["category_id"]
    if category in ignored:
        if reading.report(*place, OBJECT_IGNORED, f"category {category}") == FIX:
            add_ignored(reading, image, place, outline)
        return
    index = reading.class_of(category)
    if index is None:
        reading.report(*place, KNOWN_CLASS, f"{category}; {reading.known_classes()}")
    add_object(reading, image, place, index, outline)


def _outline(entry: Any, place: tuple[str, str], reading: DatasetReading) -> Outline | None:
    points = entry.get("poly") if isinstance(entry, dict) else None
    if isinstance(points, list) and points and all(isinstance(point, list) for point in points):
        points = [value for point in points for value in point]
    if (
        not isinstance(points, list)
        or len(points) < 6
        or len(points) % 2
        or not isinstance(entry.get("category_id"), int)
    ):
        reading.report(*place, _OBJECT_RULE, shown(entry))
        return None
    numbers = read_numbers(reading, place, points)
    return None if numbers is None else polygon(numbers, "polygon")
