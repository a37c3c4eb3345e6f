"""COCO JSON: ``images``, ``annotations`` and ``categories`` in one file, beside a folder of images.

Detectron2's own reader stops at the first error and skips some errors silently. This one reports
all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import MUST_EXIST, DatasetReading, make_record, read_json
from smallobj.data.labels.rules import FIX, KNOWN_CLASS, Rule, is_number, rule, to_float
from smallobj.data.labels.segmentations import read_segmentation
from smallobj.data.labels.spec import DatasetSpec
from smallobj.images.size import read_sizes

_FILE_RULE = "the file must be a JSON object with the lists images, annotations and categories"
_IMAGE_RULE = rule(
    "coco-image",
    "an image must be an object with an integer id and a file_name, a string",
    dropped="image",
)
_CATEGORY_RULE = rule(
    "coco-category",
    "a category must be an object with an integer id and a name, a string",
    dropped="category",
)
_ANNOTATION_RULE = rule(
    "coco-annotation",
    "an annotation must be an object with integer image_id and category_id",
    dropped="box",
)
_BOX_RULE = rule("coco-bbox", "bbox must be a list of four numbers, x, y, w, h", dropped="box")
_CROWD_RULE = rule(
    "crowd-flag", "iscrowd must be 0 or 1", fixed="crowd flag read as 0", dropped="box"
)
_SIZE_RULE = rule(
    "image-size",
    "width and height must be those of the decoded image (EXIF orientation applied)",
    fixed="size taken from the image",
)
_TOLD_SIZE_RULE = rule(
    "image-size-unknown",
    "without a folder of images, an image must have a whole width and height",
    dropped="image",
)
_UNIQUE_RULES = {
    "id": rule("id-twice", "an id may occur once in its list", dropped="entry"),
    "file_name": rule("image-twice", "a file_name may occur once", dropped="image"),
    "name": rule("category-twice", "a category's name may occur once", dropped="category"),
}
_KNOWN_IMAGE = rule("label-without-entry", "image_id must be the id of an image", dropped="box")


def read_coco(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads images, boxes and masks; category ids become 0, 1, … in the order of the ids.

    Without a folder of images the sizes are taken from the file.
    """
    reading = DatasetReading(policy=policy)
    content = _read_content(spec, reading)
    if content is not None:
        _read_categories(content, spec, reading)
    if spec.images and not os.path.isdir(spec.images):
        reading.report(spec.images, "image folder", MUST_EXIST, "no such folder")
        return reading
    if content is None:
        return reading
    images = _read_images(content, spec, reading)
    _read_annotations(content, images, spec, reading)
    reading.records = [record for record in images.values() if record["height"]]
    return reading


def read_coco_classes(spec: DatasetSpec, reading: DatasetReading) -> list[str]:
    """Class names by contiguous id; reads the JSON file, but no image."""
    content = _read_content(spec, reading)
    if content is not None:
        _read_categories(content, spec, reading)
    return reading.class_names


def _read_content(spec: DatasetSpec, reading: DatasetReading) -> dict[str, list[Any]] | None:
    content = read_json(spec.annotations, reading)
    if content is None:
        return None
    if not isinstance(content, dict):
        reading.report(spec.annotations, "whole file", _FILE_RULE, shown(content))
        return None
    content.setdefault("annotations", [])  # absent in the image lists of test sets
    lists = {key: content.get(key) for key in ("images", "annotations", "categories")}
    wrong = [key for key, value in lists.items() if not isinstance(value, list)]
    for key in wrong:
        reading.report(spec.annotations, key, _FILE_RULE, shown(lists[key]))
    return None if wrong else {key: value for key, value in lists.items() if value is not None}


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _objects(
    entries: Iterable[Any],
    list_name: str,
    texts: tuple[str, ...],
    broken: Rule,
    spec: DatasetSpec,
    reading: DatasetReading,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, entry) of the good entries: with an integer id and ``texts``, each occurring once.

    Args:
        entries: a list in the file.
        list_name: name of the list, for messages.
        texts: keys that must have a string as their value.
        broken: the rule that an entry without them breaks.
        spec: the dataset.
        reading: receives the problems.
    """
    seen: set[tuple[str, Any]] = set()
    for number, entry in enumerate(entries):
        where = f"{list_name}[{number}]"
        if not isinstance(entry, dict) or not (
            _is_integer(entry.get("id"))
            and all(isinstance(entry.get(key), str) and entry[key] for key in texts)
        ):
            reading.report(spec.annotations, where, broken, shown(entry))
            continue
        is_new = True
        for key in ("id", *texts):
            if (key, entry[key]) in seen:
                value = f"{key} {shown(entry[key])} again"
                reading.report(spec.annotations, where, _UNIQUE_RULES[key], value)
                is_new = False
            seen.add((key, entry[key]))
        if is_new:
            yield where, entry


def _read_categories(
    content: dict[str, list[Any]], spec: DatasetSpec, reading: DatasetReading
) -> None:
    entries = content["categories"]
    categories = _objects(entries, "categories", ("name",), _CATEGORY_RULE, spec, reading)
    names = {entry["id"]: entry["name"] for _, entry in categories}
    reading.class_ids = {identity: index for index, identity in enumerate(sorted(names))}
    reading.class_names = [names[identity] for identity in sorted(names)]
    if not entries:
        reading.report(spec.annotations, "categories", "there must be at least one", "none")


def _read_images(
    content: dict[str, list[Any]], spec: DatasetSpec, reading: DatasetReading
) -> dict[int, dict[str, Any]]:
    """Records by image id; an image whose header could not be read has height 0."""
    entries = list(
        _objects(content["images"], "images", ("file_name",), _IMAGE_RULE, spec, reading)
    )
    paths = [os.path.join(spec.images, entry["file_name"]) for _, entry in entries]
    records = {}
    sizes = read_sizes(paths) if spec.images else [_told_size(entry) for _, entry in entries]
    for (where, entry), path, size in zip(entries, paths, sizes, strict=True):
        place = f"{where} ({entry['file_name']})"
        if size is None:
            value = f"{shown(entry.get('width'))} and {shown(entry.get('height'))}"
            reading.report(spec.annotations, place, _TOLD_SIZE_RULE, value)
            records[entry["id"]] = make_record(path, entry["id"], (0, 0))
            continue
        if isinstance(size, Exception):
            reading.report_image(spec.annotations, place, path, size)
            records[entry["id"]] = make_record(path, entry["id"], (0, 0))
            continue
        told = (entry.get("height", size[0]), entry.get("width", size[1]))
        if told != size:
            value = f"{told[1]!r} wide, {told[0]!r} high; the image is {size[1]} and {size[0]}"
            reading.report(spec.annotations, place, _SIZE_RULE, value)
        records[entry["id"]] = make_record(path, entry["id"], size)
    return records


def _told_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    if not (isinstance(height, int) and isinstance(width, int)):
        return None
    return (height, width) if min(height, width) > 0 else None


def _read_annotations(
    content: dict[str, list[Any]],
    images: dict[int, dict[str, Any]],
    spec: DatasetSpec,
    reading: DatasetReading,
) -> None:
    # An image that is listed but bad has been reported; it is not also reported as unknown.
    listed = {
        entry["id"]
        for entry in content["images"]
        if isinstance(entry, dict) and _is_integer(entry.get("id"))
    }
    seen: set[int] = set()
    for number, entry in enumerate(content["annotations"]):
        where = f"annotations[{number}]"
        if not (
            isinstance(entry, dict)
            and _is_integer(entry.get("image_id"))
            and _is_integer(entry.get("category_id"))
        ):
            reading.report(spec.annotations, where, _ANNOTATION_RULE, shown(entry))
            continue
        where += _check_id(entry, where, seen, spec, reading)
        if entry["image_id"] not in listed:
            reading.report(spec.annotations, where, _KNOWN_IMAGE, shown(entry["image_id"]))
        record = images.get(entry["image_id"])
        annotation = _read_annotation(entry, where, record, spec, reading)
        if annotation is not None and record is not None:
            record["annotations"].append(annotation)


def _check_id(
    entry: dict[str, Any], where: str, seen: set[int], spec: DatasetSpec, reading: DatasetReading
) -> str:
    """Reports an annotation id that was seen before; returns the id for messages, "" if absent."""
    identity: Any = entry.get("id")
    if not _is_integer(identity):
        return ""
    if identity in seen:
        reading.report(spec.annotations, where, _UNIQUE_RULES["id"], f"id {identity} again")
    seen.add(identity)
    return f" (id {identity})"


def _read_annotation(
    entry: dict[str, Any],
    where: str,
    record: dict[str, Any] | None,
    spec: DatasetSpec,
    reading: DatasetReading,
) -> dict[str, Any] | None:
    box, is_crowd = entry.get("bbox"), entry.get("iscrowd", 0)
    if is_crowd not in (0, 1):
        reading.report(spec.annotations, where, _CROWD_RULE, shown(is_crowd))
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        reading.report(spec.annotations, where, _BOX_RULE, shown(box))
        return None
    index = reading.class_ids.get(entry["category_id"])
    if index is None and reading.class_ids:
        value = f"{entry['category_id']}; known are {shown(sorted(reading.class_ids))}"
        reading.report(spec.annotations, where, KNOWN_CLASS, value)
    size = (record["height"], record["width"]) if record and record["height"] else None
    good_box = reading.box(spec.annotations, where, [to_float(value) for value in box], size)
    segmentation, broken = _segmentation(entry, size)
    is_bad = broken is not None and reading.report(spec.annotations, where, *broken) != FIX
    if index is None or good_box is None or is_bad:
        return None
    annotation = reading.make_annotation(good_box, index, int(is_crowd == 1))
    if segmentation:
        annotation["segmentation"] = segmentation
    area: Any = entry.get("area")
    if is_number(area) and 0 <= to_float(area) < float("inf"):
        annotation["area"] = to_float(area)  # COCO's size ranges use it, not the box
    return annotation


def _segmentation(
    entry: dict[str, Any], size: tuple[int, int] | None
) -> tuple[Any, tuple[Rule, str] | None]:
    # An image that cannot be read has been reported already.
    return read_segmentation(entry.get("segmentation"), size) if size else (None, None)
