"""YOLO's layout: a folder of images and a folder of .txt files with lines ``class cx cy w h``.

cx and w are fractions of the image's width, cy and h of its height; (cx, cy) is the centre of the
box. ``labels.yolo_lines`` has the other lines: polygons, oriented boxes, keypoints.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.image_list import list_images
from smallobj.data.labels.label_files import PARTNER_RULE, stem
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import (
    DatasetReading,
    make_record,
    read_listed_classes,
    read_text,
)
from smallobj.data.labels.rules import FIX, SHAPE_ENCLOSED, Rule
from smallobj.data.labels.shapes import enclosing_box, inside
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.yolo_txt.yolo_lines import Line, LineForm, parse_line
from smallobj.image_paths import visible_files
from smallobj.images.size import read_sizes

ONE_IMAGE_RULE = "a label file must belong to one image"
# Files that tools write beside the label files; none of them belongs to an image.
_NOT_LABELS = ("classes.txt", "_classes.txt", "predefined_classes.txt", "labels.txt", "notes.txt")
_SPLIT_LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt")


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
    table = read_listed_classes(spec.classes, reading)
    reading.take_classes(table)
    for folder, what in ((spec.images, "image folder"), (spec.annotations, "label folder")):
        reading.has_folder(folder, what)
    if reading.problems:
        return reading
    names = list_images(spec.images)
    label_files = _list_labels(spec.annotations)
    _report_unpaired(names, label_files, spec, reading)
    pairs = [
        (
            os.path.join(spec.images, name),
            os.path.join(spec.annotations, label_files.get(stem(name), "")),
        )
        for name in names
    ]
    read_pairs(pairs, LineForm(scores, table.keypoints, reading.class_names), reading)
    return reading


def read_pairs(pairs: Sequence[tuple[str, str]], form: LineForm, reading: DatasetReading) -> None:
    """Reads images with their label files into ``reading``, whose classes are known.

    Args:
        pairs: path of an image, and of its label file; without such a file it shows no objects.
        form: what the lines may hold.
        reading: receives records and problems.
    """
    sizes = read_sizes([path for path, _ in pairs])
    for image_id, ((path, label_path), size) in enumerate(zip(pairs, sizes, strict=True), start=1):
        if isinstance(size, Exception):
            reading.report_image(path, "image file", path, size)
            continue
        record = make_record(path, image_id, size)
        if os.path.isfile(label_path):
            record["annotations"] = _read_labels(label_path, size, form, reading)
        reading.records.append(record)


def _list_labels(folder: str) -> dict[str, str]:
    """Paths below the folder by what they have in common with their images."""
    found = {}
    for file in visible_files(folder) if folder else ():
        if is_label_name(os.path.basename(file)):
            path = os.path.relpath(file, folder)
            found[stem(path)] = path
    return found


def is_label_name(name: str) -> bool:
    """Whether a file may be the label file of an image, by its name."""
    return name.lower().endswith(".txt") and name not in _NOT_LABELS and name[0] != "."


def is_other_text(path: str) -> bool:
    """Whether a text without an image of its name is known not to be a label file."""
    name = os.path.basename(path).lower()
    return name in _SPLIT_LISTS or name.startswith("readme")


def _report_unpaired(
    names: list[str], label_files: dict[str, str], spec: DatasetSpec, reading: DatasetReading
) -> None:
    images: dict[str, str] = {}
    for name in names:
        first = images.setdefault(stem(name), name)
        if first != name:
            path = os.path.join(spec.images, name)
            reading.report(path, "image file", ONE_IMAGE_RULE, f"also {first!r}")
    for lonely in sorted(label_files.keys() - images.keys()):
        path = os.path.join(spec.annotations, label_files[lonely])
        if not is_other_text(path):
            reading.report(path, "whole file", PARTNER_RULE, f"none in {spec.images}")


def _read_labels(
    path: str, size: tuple[int, int], form: LineForm, reading: DatasetReading
) -> list[dict[str, Any]]:
    """Annotations of one label file for an image of size (h, w)."""
    annotations = []
    text = read_text(path, reading) or ""
    for number, words in enumerate(text.split("\n"), start=1):
        if not words.strip():
            continue
        entry, line = f"line {number}", parse_line(words, form)
        rules = [line] if isinstance(line, Rule) else line.rules
        # All are reported, before one of them leaves the line out.
        actions = [reading.report(path, entry, broken, shown(words.strip())) for broken in rules]
        if isinstance(line, Rule) or any(action != FIX for action in actions):
            continue
        annotation = _annotation(line, (path, entry, words), size, reading)
        if annotation is not None:
            annotations.append(annotation)
    return annotations


def _annotation(
    line: Line, place: tuple[str, str, str], size: tuple[int, int], reading: DatasetReading
) -> dict[str, Any] | None:
    """The annotation of a line, None after reporting why there is none.

    Args:
        line: as read.
        place: file, line's number, and the line itself, for reports.
        size: (h, w) of the image.
        reading: receives the problems.
    """
    (path, entry, text), (height, width) = place, size
    points = None
    if line.box is not None:
        cx, cy, w, h = line.box
        box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
    else:
        shares = line.points or []
        points = [share * (height if at % 2 else width) for at, share in enumerate(shares)]
        if reading.report(path, entry, SHAPE_ENCLOSED, shown(text.strip())) != FIX:
            return None
        box = enclosing_box(points)
    class_value = line.class_value
    if isinstance(class_value, str):
        index = reading.class_names.index(class_value)
        good_box = reading.box(path, entry, box, size)
        annotation = None if good_box is None else reading.make_annotation(good_box, index)
    else:
        annotation = reading.annotation(path, entry, class_value, box, size)
    if annotation is not None and points is not None:
        annotation["segmentation"] = [inside(points, size)]
    if annotation is not None and line.score is not None:
        annotation["score"] = line.score
    return annotation
