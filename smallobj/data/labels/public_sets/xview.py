"""xView: one GeoJSON file whose features have ``image_id``, ``bounds_imcoords`` and ``type_id``.

``bounds_imcoords`` is the text ``x1,y1,x2,y2`` in pixels. Source: https://xviewdataset.org
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any, NamedTuple

from smallobj.data.labels.listed_classes import ListedClasses
from smallobj.data.labels.listed_images import ListedImage, ListedImages, Listing
from smallobj.data.labels.objects import add_object, to_number
from smallobj.data.labels.outlines import upright
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import (
    MUST_EXIST,
    DatasetReading,
    read_json,
    read_listed_classes,
)
from smallobj.data.labels.rules import DROP, KNOWN_CLASS, rule
from smallobj.data.labels.spec import DatasetSpec

_FILE_RULE = "the file must be a GeoJSON object with a list of features"
_FEATURE_RULE = rule(
    "xview-feature",
    "a feature must have image_id, type_id and bounds_imcoords, x1,y1,x2,y2",
    dropped="box",
)
_UNDEFINED_RULE = rule(
    "xview-undefined",
    "type_id must be one of xView's classes; 75 and 82 have no name",
    DROP,
    dropped="box of an undefined class",
)
_UNDEFINED = (75, 82)


class _Row(NamedTuple):
    place: tuple[str, str]
    category: int
    corners: list[float]


def read_xview(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads the boxes; the category ids are the type ids.

    Classes come from ``spec.classes``, with ``type_id:name`` lines; without it they are called by
    the type ids that occur.
    """
    reading = DatasetReading(policy=policy)
    content = read_json(spec.annotations, reading)
    if not os.path.isdir(spec.images):
        reading.report(spec.images, "image folder", MUST_EXIST, "no such folder")
    features = content.get("features") if isinstance(content, dict) else None
    if content is not None and not isinstance(features, list):
        reading.report(spec.annotations, "whole file", _FILE_RULE, shown(content))
    if reading.problems or features is None:
        return reading
    table = read_listed_classes(spec.classes, reading) if spec.classes else None
    rows = _rows(features, table, spec, reading)
    if table is None:
        found = sorted({row.category for per_image in rows.values() for row in per_image})
        table = ListedClasses({category: str(category) for category in found})
    reading.take_classes(table)
    images = ListedImages(spec.images, reading)
    listings = [Listing([name], None, boxes[0].place, boxes) for name, boxes in rows.items()]
    for image, listing in images.add(listings):
        for row in listing.content:
            _add(row, image, reading)
    images.add_others()
    images.finish(in_order_of_names=True)
    return reading


def _rows(
    features: list[Any], table: ListedClasses | None, spec: DatasetSpec, reading: DatasetReading
) -> dict[str, list[_Row]]:
    """The boxes by image."""
    found: dict[str, list[_Row]] = defaultdict(list)
    for number, feature in enumerate(features):
        place = (spec.annotations, f"features[{number}]")
        about = feature.get("properties") if isinstance(feature, dict) else None
        about = about if isinstance(about, dict) else {}
        image, category = about.get("image_id"), about.get("type_id")
        corners = _corners(about.get("bounds_imcoords"))
        if not (isinstance(image, str) and image and isinstance(category, int) and corners):
            reading.report(*place, _FEATURE_RULE, shown(about or feature))
        elif category in _UNDEFINED and (table is None or category not in table.names):
            reading.report(*place, _UNDEFINED_RULE, str(category))
        else:
            found[image].append(_Row(place, category, corners))
    return found


def _corners(bounds: Any) -> list[float] | None:
    words = bounds.split(",") if isinstance(bounds, str) else bounds
    if not isinstance(words, list):
        return None
    values = [value for value in map(to_number, words) if value is not None]
    return values if len(values) == len(words) == 4 else None


def _add(row: _Row, image: ListedImage, reading: DatasetReading) -> None:
    index = reading.class_of(row.category)
    if index is None:
        reading.report(*row.place, KNOWN_CLASS, f"{row.category}; {reading.known_classes()}")
    add_object(reading, image, row.place, index, upright(*row.corners))
