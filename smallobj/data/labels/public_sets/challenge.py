"""The challenge's layout: one JSON file ``{"0.jpg": [[class, x, y, w, h], ...]}`` and a folder."""

from __future__ import annotations

import os
from typing import Any

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.data.labels.image_list import list_images, natural_key
from smallobj.data.labels.listed_classes import ListedClasses
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import (
    MUST_EXIST,
    DatasetReading,
    make_record,
    read_class_file,
    read_json,
    read_listed_classes,
)
from smallobj.data.labels.rules import is_number, rule, to_float
from smallobj.data.labels.spec import DatasetSpec
from smallobj.images.size import read_sizes

_FILE_RULE = 'the file must be a JSON object {"0.jpg": [[class, x, y, w, h], ...], ...}'
_LIST_RULE = "an image must have a list of boxes"
_BOX_RULE = rule(
    "challenge-box", "a box must be a list of five numbers, class, x, y, w, h", dropped="box"
)
_UNIQUE_IMAGE = "an image may be labelled once"


def read_challenge_classes(spec: DatasetSpec, reading: DatasetReading) -> list[str]:
    """Class names from the classes file; without one, the 30 classes of the challenge."""
    if spec.classes:
        return read_class_file(spec.classes, reading)
    return list(CHALLENGE_CLASSES_EN)


def read_challenge(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads labels and image sizes; without a label file, lists all images of the folder."""
    reading = DatasetReading(policy=policy)
    if spec.classes:
        reading.take_classes(read_listed_classes(spec.classes, reading))
    else:
        reading.take_classes(ListedClasses(dict(enumerate(CHALLENGE_CLASSES_EN))))
    labels: Any
    if spec.annotations:
        labels = read_json(spec.annotations, reading)
        if labels is not None and not isinstance(labels, dict):
            reading.report(spec.annotations, "whole file", _FILE_RULE, shown(labels))
            labels = None
    else:
        labels = {name: [] for name in list_images(spec.images)}
    if not os.path.isdir(spec.images):
        reading.report(spec.images, "image folder", MUST_EXIST, "no such folder")
        return reading
    if labels is None or not reading.class_names:
        return reading
    names = sorted(labels, key=natural_key)
    _report_same_image(names, spec, reading)
    paths = [os.path.join(spec.images, name) for name in names]
    sizes = read_sizes(paths)
    for image_id, (name, path, size) in enumerate(zip(names, paths, sizes, strict=True), start=1):
        known_size = None if isinstance(size, Exception) else size
        if isinstance(size, Exception):
            reading.report_image(spec.annotations or path, name, path, size)
        annotations = _read_boxes(labels[name], name, known_size, spec, reading)
        if known_size is not None:
            record = make_record(path, image_id, known_size)
            record["annotations"] = annotations
            reading.records.append(record)
    return reading


def _report_same_image(names: list[str], spec: DatasetSpec, reading: DatasetReading) -> None:
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(os.path.normpath(name), name)
        if first != name:
            reading.report(spec.annotations, name, _UNIQUE_IMAGE, f"also {first!r}")


def _read_boxes(
    entries: object,
    name: str,
    size: tuple[int, int] | None,
    spec: DatasetSpec,
    reading: DatasetReading,
) -> list[dict[str, Any]]:
    annotations = []
    if not isinstance(entries, list):
        reading.report(spec.annotations, name, _LIST_RULE, shown(entries))
        return []
    for number, entry in enumerate(entries):
        where = f"{name}[{number}]"
        if not (isinstance(entry, list) and len(entry) == 5 and all(map(is_number, entry))):
            reading.report(spec.annotations, where, _BOX_RULE, shown(entry))
            continue
        box = [to_float(value) for value in entry[1:]]
        annotation = reading.annotation(spec.annotations, where, entry[0], box, size)
        if annotation is not None:
            annotations.append(annotation)
    return annotations
