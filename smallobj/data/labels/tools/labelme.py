"""LabelMe JSON, also of X-AnyLabeling: a file an image, with its ``shapes``.

LabelMe has no field for a score. It stands in the shape's ``description``, which LabelMe shows
and keeps: ``score=0.93``. A crowd region has the flag ``crowd``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from smallobj.data.labels.image_list import natural_key
from smallobj.data.labels.listed_images import ListedImages, Listing, slashed
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, whole_size
from smallobj.data.labels.outlines import Outline, joined
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.reading import DatasetReading, read_json
from smallobj.data.labels.rules import FIX, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.told_size import UNKNOWN_SIZE
from smallobj.data.labels.tools.labelme_shapes import read_outline
from smallobj.image_paths import visible_files

CROWD = "crowd"
_FILE_RULE = rule(
    "label-file-broken",
    "a label file must be valid JSON: an object with a text imagePath and a list of shapes",
    dropped="label file",
)
_SHAPE_RULE = rule("labelme-entry", "a shape must be an object", dropped="shape")
_GROUP_RULE = rule(
    "shape-grouped",
    "an object must be one shape: shapes of one label and group_id are parts of one object",
    FIX,
    fixed="shape joined to the others of its group",
    dropped="shape",
)
_SCORE = re.compile(r"\bscore=([^\s,;]+)")


def read_labelme(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, class_names: Sequence[str] = ()
) -> DatasetReading:
    """Labels or detections of all .json files in a folder and below.

    With a folder of images, those without a .json file have no boxes. Classes come from
    ``spec.classes``, else from the labels, by name.

    Args:
        spec: the dataset; its folder of images may be "".
        policy: what is done about broken rules.
        class_names: where they are known without a file.
    """
    reading = DatasetReading(policy=policy)
    classes = NamedClasses(spec, reading, class_names)
    for folder, what in ((spec.annotations, "label folder"), (spec.images, "image folder")):
        reading.has_folder(folder, what)
    if reading.problems:
        return reading
    listings = [
        listing
        for path in _json_files(spec.annotations)
        for listing in [_listing(path, spec, reading)]
        if listing is not None
    ]
    images = ListedImages(spec.images, reading)
    for image, listing in images.add(listings):
        path, _ = listing.place
        for shape in _objects(listing.content, path, classes, reading):
            add_object(reading, image, *shape[:3], score=shape[3], crowd=shape[4])
    if spec.images:
        images.add_others()
    images.finish(in_order_of_names=True)
    classes.sort()
    return reading


def _json_files(folder: str) -> list[str]:
    found = [path for path in visible_files(folder) if path.lower().endswith(".json")]
    return sorted(found, key=natural_key)


def _listing(path: str, spec: DatasetSpec, reading: DatasetReading) -> Listing | None:
    """What a file says of its image, None after reporting what is wrong with it."""
    log = ProblemLog()
    content = read_json(path, log)
    for problem in log.problems[:1]:
        value = f"{problem.rule}: {problem.value}"
        reading.report(path, problem.entry, _FILE_RULE, value)
        return None
    if not (
        isinstance(content, dict)
        and isinstance(content.get("imagePath"), str)
        and isinstance(content.get("shapes"), list)
    ):
        reading.report(path, "whole file", _FILE_RULE, shown(content))
        return None
    width, height = content.get("imageWidth"), content.get("imageHeight")
    size = whole_size(width, height)
    if size is None and not spec.images:
        reading.report(path, "whole file", UNKNOWN_SIZE, f"{shown(width)} and {shown(height)}")
        return None
    # Only the shapes are kept: imageData would be all images in memory.
    names = _image_names(path, content["imagePath"], spec)
    return Listing(names, size, (path, "imagePath"), content["shapes"])


def _image_names(path: str, image: str, spec: DatasetSpec) -> list[str]:
    """What the image of a label file may be called below the folder of images, best first."""
    # LabelMe on Windows writes backslashes. imagePath starts at the .json file.
    image = image.strip().replace("\\", "/")
    folder = os.path.dirname(path)
    if not spec.images:
        # A drive of another computer says nothing about this one.
        image = os.path.basename(image) if image[1:3] == ":/" else image
        return [slashed(os.path.relpath(os.path.join(folder, image), spec.annotations))]
    beside = os.path.relpath(os.path.join(folder, image), spec.images)
    # Labels in a folder of their own, with the subfolders of the images.
    mirrored = os.path.join(os.path.relpath(folder, spec.annotations), image)
    return [slashed(beside), slashed(os.path.normpath(mirrored)), image]


_Object = tuple[tuple[str, str], int | None, Outline | None, Any, bool]


def _objects(
    shapes: list[Any], path: str, classes: NamedClasses, reading: DatasetReading
) -> Iterator[_Object]:
    """(place, class, outline, score, crowd) of each object; a group of shapes is one."""
    groups: dict[Any, list[Outline]] = {}
    found: list[tuple[_Object, Any]] = []
    for number, shape in enumerate(shapes):
        place = (path, f"shapes[{number}]")
        if not isinstance(shape, dict):
            reading.report(*place, _SHAPE_RULE, shown(shape))
            continue
        outline = read_outline(shape, place, reading)
        # A class of which no shape has an area is none of objects.
        is_class = outline is not None or not classes.is_open
        index = classes.index(shape.get("label"), place) if is_class else None
        key: Any = number
        group = shape.get("group_id")
        if isinstance(group, int | str) and outline is not None and index is not None:
            key = (str(group), index)
            if key in groups:
                value = f"group_id {shown(group)} of {shown(shape['label'])} again"
                if reading.report(*place, _GROUP_RULE, value) == FIX:
                    groups[key].append(outline)
                continue
            groups[key] = [outline]
        found.append(((place, index, outline, _score(shape), _is_crowd(shape)), key))
    for (place, index, outline, score, crowd), key in found:
        parts = groups.get(key, [])
        yield place, index, joined(parts) if len(parts) > 1 else outline, score, crowd


def _is_crowd(shape: dict[str, Any]) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and flags.get(CROWD) is True


def _score(shape: dict[str, Any]) -> Any:
    """The score in the description, or the field that some other tools add; None without."""
    description = shape.get("description")
    found = _SCORE.search(description) if isinstance(description, str) else None
    return found.group(1) if found else shape.get("score")
