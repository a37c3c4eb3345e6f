"""LabelMe JSON (version 5): a file an image, rectangles among its ``shapes``.

LabelMe has no field for a score. It stands in the shape's ``description``, which LabelMe shows
and keeps: ``score=0.93``. A crowd region has the flag ``crowd``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.image_size import list_images, natural_key
from smallobj.data.labels.listed_images import ListedImages, slashed
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, read_numbers, whole_size
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import MUST_EXIST, DatasetReading, read_json
from smallobj.data.labels.rules import rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.image_paths import visible_files

CROWD = "crowd"
_FILE_RULE = "the file must be a JSON object with a text imagePath and a list of shapes"
_SIZE_RULE = "imageWidth and imageHeight must be whole and positive"
_SHAPE_RULE = "a shape must be an object with a text label and a shape_type"
_RECTANGLE_RULE = rule(
    "labelme-shape",
    "shapes other than rectangles of two points are not converted",
    dropped="shape",
)
_SCORE = re.compile(r"\bscore=([^\s,;]+)")


def read_labelme(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, class_names: Sequence[str] = ()
) -> DatasetReading:
    """Labels or detections of all .json files in a folder and below.

    With a folder of images, those without a .json file have no boxes. Classes come from
    ``spec.classes``, else from the names' first appearance.

    Args:
        spec: the dataset; its folder of images may be "".
        policy: what is done about broken rules.
        class_names: where they are known without a file.
    """
    reading = DatasetReading(policy=policy)
    folder = _Folder(spec, reading, NamedClasses(spec, reading, class_names))
    if not os.path.isdir(spec.annotations):
        reading.report(spec.annotations, "label folder", MUST_EXIST, "no such folder")
        return reading
    for path in _json_files(spec.annotations):
        folder.read_file(path)
    if spec.images:
        # After the .json files, since an image that one of them names is there already.
        for name in map(slashed, list_images(spec.images)):
            if name not in folder.images.records:
                place = (os.path.join(spec.images, name), "image file")
                folder.images.add(name, None, place)
    records = folder.images.records
    reading.records = [records[name] for name in sorted(records, key=natural_key)]
    return reading


def _json_files(folder: str) -> list[str]:
    found = [path for path in visible_files(folder) if path.endswith(".json")]
    return sorted(found, key=natural_key)


class _Folder:
    def __init__(self, spec: DatasetSpec, reading: DatasetReading, classes: NamedClasses) -> None:
        self._spec = spec
        self._reading = reading
        self._classes = classes
        self.images = ListedImages(spec.images, reading)

    def read_file(self, path: str) -> None:
        content = read_json(path, self._reading)
        if content is None:
            return
        if not (
            isinstance(content, dict)
            and isinstance(content.get("imagePath"), str)
            and isinstance(content.get("shapes"), list)
        ):
            self._reading.report(path, "whole file", _FILE_RULE, shown(content))
            return
        size = whole_size(content.get("imageWidth"), content.get("imageHeight"))
        if size is None and not self._spec.images:
            value = f"{shown(content.get('imageWidth'))} and {shown(content.get('imageHeight'))}"
            self._reading.report(path, "whole file", _SIZE_RULE, value)
            return
        # LabelMe on Windows writes backslashes.
        # imagePath starts at the .json file, names of images at their folder.
        image = os.path.join(os.path.dirname(path), content["imagePath"].replace("\\", "/"))
        file = slashed(os.path.relpath(image, self._spec.images or self._spec.annotations))
        record = self.images.add(file, size, (path, "imagePath"))
        if record is None:
            return
        for number, shape in enumerate(content["shapes"]):
            self._read_shape(shape, record, (path, f"shapes[{number}]"))

    def _read_shape(self, shape: Any, record: dict[str, Any], place: tuple[str, str]) -> None:
        if not (
            isinstance(shape, dict)
            and isinstance(shape.get("label"), str)
            # LabelMe, too, takes a shape without a type for a polygon.
            and isinstance(shape.get("shape_type", "polygon"), str)
        ):
            self._reading.report(*place, _SHAPE_RULE, shown(shape))
            return
        values = _two_points(shape.get("points"))
        if shape.get("shape_type") != "rectangle" or values is None:
            value = f"{shown(shape.get('shape_type'))} with points {shown(shape.get('points'))}"
            self._reading.report(*place, _RECTANGLE_RULE, value)
            return
        numbers = read_numbers(self._reading, place, values)
        corners = None
        if numbers is not None:
            # A rectangle may be drawn from any of its corners.
            xs, ys = sorted(numbers[::2]), sorted(numbers[1::2])
            corners = (xs[0], ys[0], xs[1], ys[1])
        flags = shape.get("flags")
        add_object(
            self._reading,
            record,
            place,
            self._classes.index(shape["label"], place),
            corners,
            score=_score(shape),
            crowd=isinstance(flags, dict) and flags.get(CROWD) is True,
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
