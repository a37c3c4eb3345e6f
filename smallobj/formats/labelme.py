"""LabelMe JSON (version 5): a file an image, rectangles among its ``shapes``.

LabelMe has no field for a score. It stands in the shape's ``description``, which LabelMe shows
and keeps: ``score=0.93``. A crowd region has the flag ``crowd``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.image_size import list_images, natural_key
from smallobj.data.labels.problems import Problem, shown
from smallobj.data.labels.reading import MUST_EXIST, read_json
from smallobj.data.labels.rules import rule
from smallobj.formats.box_reading import BoxReading, Source, slashed, whole_size
from smallobj.formats.box_set import BoxSet, ImageBoxes, short
from smallobj.formats.targets import Target, check_name, label_files, write_file

_VERSION = "5.5.0"
_FILE_RULE = "the file must be a JSON object with a text imagePath and a list of shapes"
_SIZE_RULE = "imageWidth and imageHeight must be whole and positive"
_SHAPE_RULE = "a shape must be an object with a text label and a shape_type"
_RECTANGLE_RULE = rule(
    "labelme-shape",
    "shapes other than rectangles of two points are not converted",
    dropped="shape",
)
_CROWD = "crowd"
_SCORE = re.compile(r"\bscore=([^\s,;]+)")


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections of all .json files in a folder and below.

    With a folder of images, those without a .json file have no boxes. Classes come from
    ``source.classes``, else from the names' first appearance.
    """
    reading = BoxReading(policy=source.policy)
    reading.read_classes(source)
    if not os.path.isdir(source.path):
        reading.report(source.path, "label folder", MUST_EXIST, "no such folder")
        return reading.box_set(), reading.problems
    for path in _json_files(source.path):
        _read_file(path, source, reading)
    if source.images:
        # After the .json files, since an image that one of them names is there already.
        for name in map(slashed, list_images(source.images)):
            if name not in reading.boxes:
                place = (os.path.join(source.images, name), "image file")
                reading.new_image(name, None, place, source.images)
    reading.boxes = dict(sorted(reading.boxes.items(), key=lambda item: natural_key(item[0])))
    return reading.box_set(), reading.problems


def _json_files(folder: str) -> list[str]:
    found = []
    for parent, _, names in os.walk(folder):
        found += [os.path.join(parent, name) for name in names if name.endswith(".json")]
    return sorted(found, key=natural_key)


def _read_file(path: str, source: Source, reading: BoxReading) -> None:
    content = read_json(path, reading)
    if content is None:
        return
    if not (
        isinstance(content, dict)
        and isinstance(content.get("imagePath"), str)
        and isinstance(content.get("shapes"), list)
    ):
        reading.report(path, "whole file", _FILE_RULE, shown(content))
        return
    size = whole_size(content.get("imageWidth"), content.get("imageHeight"))
    if size is None and not source.images:
        value = f"{shown(content.get('imageWidth'))} and {shown(content.get('imageHeight'))}"
        reading.report(path, "whole file", _SIZE_RULE, value)
        return
    # LabelMe on Windows writes backslashes.
    # imagePath starts at the .json file, names of images at their folder.
    image = os.path.join(os.path.dirname(path), content["imagePath"].replace("\\", "/"))
    file = slashed(os.path.relpath(image, source.images or source.path))
    if not reading.new_image(file, size, (path, "imagePath"), source.images):
        return
    for number, shape in enumerate(content["shapes"]):
        _read_shape(shape, file, (path, f"shapes[{number}]"), reading)


def _read_shape(shape: Any, file: str, place: tuple[str, str], reading: BoxReading) -> None:
    if not (
        isinstance(shape, dict)
        and isinstance(shape.get("label"), str)
        # LabelMe, too, takes a shape without a type for a polygon.
        and isinstance(shape.get("shape_type", "polygon"), str)
    ):
        reading.report(*place, _SHAPE_RULE, shown(shape))
        return
    values = _two_points(shape.get("points"))
    if shape.get("shape_type") != "rectangle" or values is None:
        value = f"{shown(shape.get('shape_type'))} with points {shown(shape.get('points'))}"
        reading.report(*place, _RECTANGLE_RULE, value)
        return
    numbers = reading.numbers(*place, values)
    corners = None
    if numbers is not None:
        # A rectangle may be drawn from any of its corners.
        xs, ys = sorted(numbers[::2]), sorted(numbers[1::2])
        corners = (xs[0], ys[0], xs[1], ys[1])
    flags = shape.get("flags")
    reading.add(
        file,
        reading.named(shape["label"], *place),
        corners,
        _score(shape),
        place=place,
        crowd=isinstance(flags, dict) and flags.get(_CROWD) is True,
    )


def _two_points(points: Any) -> list[Any] | None:
    """[x, y, x, y], or None where it isn't that."""
    if not isinstance(points, list) or len(points) != 2:
        return None
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    return [*points[0], *points[1]]


def _score(shape: dict[str, Any]) -> Any:
    """The score in the description, or the field that some other tools add; None without."""
    description = shape.get("description")
    found = _SCORE.search(description) if isinstance(description, str) else None
    return found.group(1) if found else shape.get("score")


def write(boxes: BoxSet, target: Target) -> None:
    """Writes a .json file an image, also where there is no box.

    Raises:
        ValueError: the size of an image is unknown, or files collide.
    """
    # All are made before the first is written, so that an error leaves no half of a folder.
    files = [
        (path, _content(image, path, boxes.class_names, target.images))
        for image, path in label_files(boxes, target, ".json")
    ]
    for path, content in files:
        write_file(target, path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _content(image: ImageBoxes, path: str, names: Sequence[str], images: str) -> dict[str, Any]:
    height, width = image.needed_size("LabelMe JSON")
    check_name(image.file)
    beside = os.path.basename(image.file)
    if images:
        beside = slashed(os.path.relpath(os.path.join(images, image.file), os.path.dirname(path)))
    rows = zip(
        image.boxes.tolist(), image.classes.tolist(), image.score_list, image.crowds, strict=True
    )
    shapes = [
        {
            "label": names[index],
            "points": [[short(x1), short(y1)], [short(x2), short(y2)]],
            "group_id": None,
            "description": "" if score is None else f"score={score!r}",
            "shape_type": "rectangle",
            "flags": {_CROWD: True} if crowd else {},
            "mask": None,
        }
        for (x1, y1, x2, y2), index, score, crowd in rows
    ]
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": beside,
        # None makes LabelMe open ``imagePath``.
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
