"""YOLO's layout: a folder of images and a folder of .txt files with lines ``class cx cy w h``.

cx and w are fractions of the image's width, cy and h of its height; (cx, cy) is the centre of the
box.
"""

from __future__ import annotations

import math
import os
from typing import Any

from smallobj.data.labels.image_size import list_images, read_sizes
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import (
    MUST_EXIST,
    DatasetReading,
    make_record,
    read_class_file,
    read_text,
)
from smallobj.data.labels.rules import rule
from smallobj.data.labels.spec import DatasetSpec

_LINE_RULE = rule(
    "yolo-line",
    "a line must hold five numbers, class cx cy w h; of detections six, with a score from 0 to 1",
    dropped="box",
)
_SHARE_RULE = rule(
    "yolo-share", "cx, cy, w and h must be shares of the image's sides, at most 1", dropped="box"
)
_PARTNER_RULE = rule(
    "label-without-image", "a label file must have an image of its name", dropped="label file"
)
_ONE_IMAGE_RULE = "a label file must belong to one image"
# Files that labelling tools write beside the label files.
_NOT_LABELS = ("classes.txt",)
# Slightly above 1, for fractions rounded to few digits; pixels decide whether the box is inside.
_LARGEST_SHARE = 1.001


def read_yolo(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, scores: bool = False
) -> DatasetReading:
    """Reads all images in the folder and below it; an image without a label file has no objects.

    Args:
        spec: the dataset.
        policy: what is done about broken rules.
        scores: lines may end with a score, which becomes the annotation's ``score``.
    """
    reading = DatasetReading(policy=policy)
    reading.class_names = read_class_file(spec.classes, reading)
    reading.class_ids = {index: index for index in range(len(reading.class_names))}
    for folder, what in ((spec.images, "image folder"), (spec.annotations, "label folder")):
        if folder and not os.path.isdir(folder):
            reading.report(folder, what, MUST_EXIST, "no such folder")
    if reading.problems:
        return reading
    names = list_images(spec.images)
    label_files = _list_labels(spec.annotations)
    _report_unpaired(names, label_files, spec, reading)
    paths = [os.path.join(spec.images, name) for name in names]
    sizes = read_sizes(paths)
    for image_id, (name, path, size) in enumerate(zip(names, paths, sizes, strict=True), start=1):
        if isinstance(size, Exception):
            reading.report_image(path, "image file", path, size)
            continue
        record = make_record(path, image_id, size)
        label_file = os.path.splitext(name)[0] + ".txt"
        if label_file in label_files:
            label_path = os.path.join(spec.annotations, label_file)
            record["annotations"] = _read_labels(label_path, size, reading, scores)
        reading.records.append(record)
    return reading


def _list_labels(folder: str) -> set[str]:
    paths = set()
    for parent, _, names in os.walk(folder) if folder else ():
        for name in names:
            if name.endswith(".txt") and name not in _NOT_LABELS and not name.startswith("."):
                paths.add(os.path.relpath(os.path.join(parent, name), folder))
    return paths


def _report_unpaired(
    names: list[str], label_files: set[str], spec: DatasetSpec, reading: DatasetReading
) -> None:
    images: dict[str, str] = {}
    for name in names:
        first = images.setdefault(os.path.splitext(name)[0] + ".txt", name)
        if first != name:
            path = os.path.join(spec.images, name)
            reading.report(path, "image file", _ONE_IMAGE_RULE, f"also {first!r}")
    for label_file in sorted(label_files - set(images)):
        path = os.path.join(spec.annotations, label_file)
        reading.report(path, "whole file", _PARTNER_RULE, f"none in {spec.images}")


def _read_labels(
    path: str, size: tuple[int, int], reading: DatasetReading, scores: bool
) -> list[dict[str, Any]]:
    """Annotations of one label file for an image of size (h, w)."""
    annotations = []
    text = read_text(path, reading) or ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        entry = f"line {number}"
        try:
            class_value, cx, cy, w, h, *rest = (float(word) for word in line.split())
        except ValueError:
            rest = [math.nan]
        if len(rest) > scores or not all(0 <= score <= 1 for score in rest):
            reading.report(path, entry, _LINE_RULE, shown(line))
            continue
        if any(_LARGEST_SHARE < share < float("inf") for share in (cx, cy, w, h)):
            reading.report(path, entry, _SHARE_RULE, shown(line))
            continue
        height, width = size
        box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
        annotation = reading.annotation(path, entry, class_value, box, size)
        if annotation is not None:
            annotations.append(annotation | ({"score": rest[0]} if rest else {}))
    return annotations
