"""The list of classes that goes along with files which have no place for it.

A CSV names the classes that occur, LabelMe has names without an order, and neither they nor YOLO
and CVAT hold the category ids of COCO. So ``found.csv.classes.json`` lies beside ``found.csv``, and
``labels.classes.json`` beside the folder ``labels``: ``{"names": [...], "category_ids": [...]}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.reading import read_json, read_listed_classes
from smallobj.formats.box_set import BoxSet

IDS_RULE = "category ids must be different whole numbers, one a class"


@dataclass(frozen=True)
class ClassList:
    """Names of classes in their order.

    Attributes:
        names: K names.
        category_ids: K ids of a COCO file, or none.
    """

    names: Sequence[str]
    category_ids: Sequence[int] = ()

    def text(self) -> str:
        """As it is written, and read again by :func:`read_class_list`."""
        content: dict[str, Any] = {"names": list(self.names)}
        if self.category_ids:
            content["category_ids"] = [int(identity) for identity in self.category_ids]
        return json.dumps(content, ensure_ascii=False) + "\n"


def read_class_list(path: str, log: ProblemLog) -> ClassList:
    """Classes of a file: a list as above, a COCO file's categories, or a file of class names.

    Returns an empty list after reporting a problem of the file.
    """
    listed = read_listed_classes(path, log).names
    names, ids = list(listed.values()), list(listed)
    content = read_json(path, log) if names and path.lower().endswith(".json") else None
    if isinstance(content, dict) and "category_ids" in content:
        ids = content["category_ids"]
        if not is_id_list(ids, len(names)):
            log.report(path, "category_ids", IDS_RULE, shown(ids))
            return ClassList([])
    elif not (isinstance(content, dict) and "categories" in content) and ids == list(
        range(len(ids))
    ):
        ids = []  # places in a list
    return ClassList(names, ids)


def is_id_list(ids: Any, number: int) -> bool:
    """Whether a value from a file is a list of so many different category ids."""
    is_whole = isinstance(ids, list) and all(type(identity) is int for identity in ids)
    return is_whole and len(set(ids)) == len(ids) == number


def in_order(boxes: BoxSet, classes: ClassList) -> BoxSet:
    """The same boxes with the classes of a list, in its order; others come behind."""
    names = [*classes.names, *(n for n in boxes.class_names if n not in classes.names)]
    numbers = np.array([names.index(name) for name in boxes.class_names], dtype=np.int64)
    images = [replace(image, classes=numbers[image.classes]) for image in boxes.images]
    return with_ids(replace(boxes, images=images, class_names=names, category_ids=()), classes)


def with_ids(boxes: BoxSet, classes: ClassList) -> BoxSet:
    """The same boxes with the category ids of a list, by name; classes without one come behind.

    Classes that only the list has are added, and ids above its own go to those that it lacks. A
    list without ids leaves none.
    """
    names = [*boxes.class_names, *(n for n in classes.names if n not in boxes.class_names)]
    if not classes.category_ids:
        return replace(boxes, class_names=names, category_ids=())
    known = dict(zip(classes.names, classes.category_ids, strict=True))
    free = max(known.values()) + 1
    ids = []
    for name in names:
        if name not in known:
            known[name], free = free, free + 1
        ids.append(known[name])
    return replace(boxes, class_names=names, category_ids=ids)
