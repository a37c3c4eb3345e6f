"""COCO JSON: ``images``, ``annotations`` and ``categories`` in one file, beside a folder of images.

Detectron2's own reader stops at the first error and skips some errors silently. This one reports
all of them, and reads what other tools make of the format: ids that are texts, paths of other
systems, root categories, masks without boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.coco_json.coco_annotations import read_annotations
from smallobj.data.labels.coco_json.coco_images import read_images
from smallobj.data.labels.coco_json.ids import Ids
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_json
from smallobj.data.labels.rules import FIX, rule
from smallobj.data.labels.spec import DatasetSpec

_FILE_RULE = "the file must be a JSON object with the lists images, annotations and categories"
_CATEGORY_RULE = rule(
    "coco-category", "a category must be an object with an id and a name", dropped="category"
)
_NAME_RULE = rule(
    "category-name",
    "a category's name must be a text without blanks at its ends",
    FIX,
    fixed="category named by a plain text",
)
_ROOT_RULE = rule(
    "category-root",
    "a category that only stands above others is no class",
    FIX,
    fixed="root category left out",
)
_TWICE = rule(
    "category-twice",
    "a category's name may occur once",
    fixed="category merged with the first of its name",
    dropped="category",
)
_ID_TWICE = rule("category-id-twice", "a category's id may occur once", dropped="category")


def read_coco(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads images, boxes and masks; category ids become 0, 1, … in the order of the ids.

    Without a folder of images the sizes are taken from the file.
    """
    reading = DatasetReading(policy=policy)
    content = _read_content(spec, reading)
    if content is not None:
        category_ids = _read_categories(content, spec, reading)
    if not reading.has_folder(spec.images, "image folder"):
        return reading
    if content is None:
        return reading
    image_ids = _ids(content["images"], "ids of images", spec, reading)
    images = read_images(content["images"], image_ids, spec, reading)
    read_annotations(content["annotations"], images, (image_ids, category_ids), spec, reading)
    records = {id(one.record): one.record for one in images.values() if one.record is not None}
    reading.records = list(records.values())
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
    if content.get("annotations") is None:
        content["annotations"] = []  # absent in the image lists of test sets
    lists = {key: content.get(key) for key in ("images", "annotations", "categories")}
    wrong = [key for key, value in lists.items() if not isinstance(value, list)]
    for key in wrong:
        reading.report(spec.annotations, key, _FILE_RULE, shown(lists[key]))
    return None if wrong else {key: value for key, value in lists.items() if value is not None}


def _ids(entries: Sequence[Any], what: str, spec: DatasetSpec, reading: DatasetReading) -> Ids:
    values = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return Ids(values, reading, spec.annotations, what)


def _read_categories(
    content: dict[str, list[Any]], spec: DatasetSpec, reading: DatasetReading
) -> Ids:
    entries = content["categories"]
    if not entries:
        reading.report(spec.annotations, "categories", "there must be at least one", "none")
    ids = _ids(entries, "ids of categories", spec, reading)
    roots = _roots(content, ids)
    names: dict[Any, str] = {}
    for number, entry in enumerate(entries):
        where = f"categories[{number}]"
        identity = ids.of(entry.get("id")) if isinstance(entry, dict) else None
        name = _name(entry, where, spec, reading) if identity is not None else None
        if identity is None or name is None:
            reading.report(spec.annotations, where, _CATEGORY_RULE, shown(entry))
        elif identity in roots:
            reading.report(spec.annotations, where, _ROOT_RULE, shown(name))
        elif identity in names:
            reading.report(spec.annotations, where, _ID_TWICE, f"id {shown(identity)} again")
        elif name in names.values():
            value = f"name {shown(name)} again"
            if reading.report(spec.annotations, where, _TWICE, value) == FIX:
                names[identity] = name
        else:
            names[identity] = name
    for identity in sorted(names):
        if names[identity] not in reading.class_names:
            reading.class_names.append(names[identity])
        reading.class_ids[identity] = reading.class_names.index(names[identity])
    return ids


def _roots(content: dict[str, list[Any]], ids: Ids) -> set[Any]:
    """Ids of categories that no label uses and that others name as their supercategory."""
    categories = [entry for entry in content["categories"] if isinstance(entry, dict)]
    above = {entry.get("supercategory") for entry in categories if _is_below(entry)}
    candidates = {
        ids.of(entry.get("id"))
        for entry in categories
        if not _is_below(entry) and isinstance(entry.get("name"), str) and entry["name"] in above
    }
    if not candidates:
        return set()
    annotations = (entry for entry in content["annotations"] if isinstance(entry, dict))
    return candidates - {ids.of(entry.get("category_id")) for entry in annotations}


def _is_below(entry: dict[str, Any]) -> bool:
    """Whether a category names another one as its own category. COCO's person is a person."""
    above = entry.get("supercategory")
    return isinstance(above, str) and above not in ("", "none")


def _name(
    entry: dict[str, Any], where: str, spec: DatasetSpec, reading: DatasetReading
) -> str | None:
    """A category's name as a plain text, None without one."""
    name = entry.get("name")
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        return None
    plain = str(name).strip()
    if (
        plain
        and plain != name
        and reading.report(spec.annotations, where, _NAME_RULE, shown(name)) != FIX
    ):
        return None
    return plain or None
