"""The result of a dataset reader, and common parts: boxes, records, strict JSON, class files."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import yaml
from detectron2.structures import BoxMode

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.rules import (
    DUPLICATE_BOX,
    FIX,
    IMAGE_EXISTS,
    IMAGE_READABLE,
    INSIDE_BOX,
    KNOWN_CLASS,
    broken_box_rule,
    class_index,
    clip_box,
)

UNIQUE_KEY = "a JSON key may occur once in an object"
MUST_EXIST = "the file must exist"
READABLE = "the file must be readable"
VALID_JSON = "the file must be valid JSON"


@dataclasses.dataclass
class DatasetReading(ProblemLog):
    """A dataset as read: the good records, and the problems of the others.

    Attributes:
        class_names: class names by contiguous class id.
        class_ids: contiguous class id by class id in the file.
        records: Detectron2 dataset dicts of all readable images with their good boxes.
    """

    class_names: list[str] = dataclasses.field(default_factory=list)
    class_ids: dict[int, int] = dataclasses.field(default_factory=dict)
    records: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def annotation(
        self,
        file: str,
        entry: str,
        class_value: int | float,
        box: Sequence[float],
        size: tuple[int, int] | None,
    ) -> dict[str, Any] | None:
        """A Detectron2 annotation, or None after reporting each rule that the box breaks.

        Args:
            file: the file, for reports.
            entry: the place in that file, for reports.
            class_value: class id in the file, which is also the contiguous class id.
            box: (x, y, w, h) in pixels.
            size: (h, w) of the image; None if it could not be read.
        """
        index = class_index(class_value, len(self.class_names))
        if index is None:
            value = f"{shown(class_value)}; known are 0 to {len(self.class_names) - 1}"
            self.report(file, entry, KNOWN_CLASS, value)
        good_box = self.box(file, entry, box, size)
        if index is None or good_box is None:
            return None
        return self.make_annotation(good_box, index)

    @staticmethod
    def make_annotation(box: list[float], index: int, is_crowd: int = 0) -> dict[str, Any]:
        """A Detectron2 annotation of an (x, y, w, h) box of the contiguous class ``index``."""
        return {
            "bbox": box,
            "bbox_mode": BoxMode.XYWH_ABS,
            "category_id": index,
            "iscrowd": is_crowd,
        }

    def box(
        self, file: str, entry: str, box: Sequence[float], size: tuple[int, int] | None
    ) -> list[float] | None:
        """The (x, y, w, h) box clipped to the image; None if it breaks a rule that drops it.

        Also None if ``size`` is None.
        """
        rule = broken_box_rule(box, size, self.policy.max_outside)
        if rule is not None:
            value = str([float(f"{number:.6g}") for number in box])
            if size is not None:
                value += f" in an image {size[1]} wide and {size[0]} high"
            action = self.report(file, entry, rule, value)
            if rule is not INSIDE_BOX or action != FIX:
                return None
        return clip_box(box, size) if size is not None else None

    def merge_duplicates(self) -> None:
        """Keeps one of the labels of an image that agree in class and box; detections stay."""
        for record in self.records:
            seen: set[tuple[Any, ...]] = set()
            kept = []
            for annotation in record["annotations"]:
                key = (annotation["category_id"], annotation["iscrowd"], *annotation["bbox"])
                if key in seen and "score" not in annotation:
                    name = self.class_names[annotation["category_id"]]
                    value = f"{shown(name)} {annotation['bbox']} again"
                    self.report(record["file_name"], "labels", DUPLICATE_BOX, value)
                    continue
                seen.add(key)
                kept.append(annotation)
            record["annotations"] = kept

    def report_image(self, file: str, entry: str, path: str, error: Exception) -> None:
        """Reports a missing image as a problem of ``file``, an unreadable header as the image's.

        Args:
            file: the file that names the image.
            entry: the place in that file.
            path: the image.
            error: the error on reading the image's size.
        """
        if isinstance(error, FileNotFoundError):
            self.report(file, entry, IMAGE_EXISTS, f"no file {path}")
        else:
            self.report(path, "image header", IMAGE_READABLE, str(error))


def make_record(path: str, image_id: int, size: tuple[int, int]) -> dict[str, Any]:
    """A Detectron2 dataset dict of an image of size (h, w) without annotations."""
    return {
        "file_name": path,
        "image_id": image_id,
        "height": size[0],
        "width": size[1],
        "annotations": [],
    }


def _describe_object(pairs: list[tuple[str, Any]]) -> str:
    identity = dict(pairs).get("id")
    return "" if identity is None else f" of the object with id {shown(identity)}"


def read_json(path: str, log: ProblemLog) -> Any:
    """Content of a JSON file, or None after reporting its problem.

    All duplicate keys are reported; Python's own reader would silently keep the last one.
    """
    text = read_text(path, log)
    return None if text is None else _parse(text, path, log)


def read_json_lines(path: str, log: ProblemLog) -> list[Any] | None:
    """Content of each line of a file; None after reporting all lines that aren't JSON."""
    text = read_text(path, log)
    if text is None:
        return None
    before = len(log.problems)
    lines = text.splitlines()
    rows = [_parse(line, path, log, number) for number, line in enumerate(lines, 1)]
    return rows if len(log.problems) == before else None


def _parse(text: str, path: str, log: ProblemLog, line: int = 1) -> Any:
    """As :func:`read_json`, for a text that starts on the given line of its file."""

    def check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            for key, count in Counter(key for key, _ in pairs).items():
                if count > 1:
                    entry = f"key {shown(key)}{_describe_object(pairs)}"
                    log.report(path, entry, UNIQUE_KEY, f"it {count} times")
        return content

    try:
        content = json.loads(text, object_pairs_hook=check_keys)
    except json.JSONDecodeError as error:
        entry = f"line {line - 1 + error.lineno}, column {error.colno}"
        log.report(path, entry, VALID_JSON, error.msg)
        return None
    except (RecursionError, ValueError) as error:
        log.report(path, "whole file", VALID_JSON, str(error))
        return None
    if content is None:
        log.report(path, "whole file", "the file must hold an object or a list", "null")
    return content


def read_text(path: str, log: ProblemLog) -> str | None:
    """Content of a UTF-8 file, or None after reporting why it can't be read."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except FileNotFoundError:
        log.report(path, "whole file", MUST_EXIST, "no such file")
    except (OSError, UnicodeDecodeError) as error:
        log.report(path, "whole file", READABLE, str(error))
    return None


def read_class_file(path: str, log: ProblemLog) -> list[str]:
    """Class names from a JSON list, a yaml with ``names``, or a text file with one name per line.

    Returns an empty list after reporting a problem of the file.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending in (".yaml", ".yml"):
        text = read_text(path, log)
        if text is None:
            return []
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            log.report(path, "whole file", "the file must be plain yaml", str(error))
            return []
    elif ending == ".json":
        content = read_json(path, log)
        if content is None:
            return []
    else:
        text = read_text(path, log)
        if text is None:
            return []
        content = [line.strip() for line in text.strip().splitlines()]
    names = content.get("names") if isinstance(content, dict) else content
    return check_class_names(path, _in_order(names), log)


def _in_order(names: Any) -> Any:
    """The list for a mapping ``{0: name, 1: name}``, as in YOLO's yaml; else ``names`` itself."""
    if isinstance(names, dict) and sorted(names, key=str) == sorted(range(len(names)), key=str):
        return [names[index] for index in range(len(names))]
    return names


def check_class_names(path: str, names: Any, log: ProblemLog) -> list[str]:
    """The names if they are a list of distinct strings; else [] after reporting what they are."""
    rule = (
        "class names must be a list of distinct strings, or in yaml a `names` with the ids 0, 1, …"
    )
    if not isinstance(names, list) or not names:
        log.report(path, "class names", rule, shown(names))
        return []
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        log.report(path, "class names", rule, shown(wrong[0]))
        return []
    for name, count in Counter(names).items():
        if count > 1:
            log.report(path, f"class {shown(name)}", rule, f"it {count} times")
    return names
