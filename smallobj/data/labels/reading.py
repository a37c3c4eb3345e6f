"""The result of a dataset reader, and common parts: boxes, records, strict JSON, class files."""

from __future__ import annotations

import codecs
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import yaml
from detectron2.structures import BoxMode

from smallobj.data.labels.listed_classes import ListedClasses, classes_of_lines, listed_classes
from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.rules import (
    DUPLICATE_BOX,
    FIX,
    IMAGE_EXISTS,
    IMAGE_READABLE,
    INSIDE_BOX,
    KNOWN_CLASS,
    broken_box_rule,
    clip_box,
    to_float,
)
from smallobj.data.labels.text_yaml import load_texts

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
        only_occurring: the names are those that occur in the labels; no list names them.
        records: Detectron2 dataset dicts of all readable images with their good boxes.
    """

    class_names: list[str] = dataclasses.field(default_factory=list)
    class_ids: dict[int, int] = dataclasses.field(default_factory=dict)
    only_occurring: bool = False
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
            class_value: class id in the file.
            box: (x, y, w, h) in pixels.
            size: (h, w) of the image; None if it could not be read.
        """
        index = self.class_of(class_value)
        if index is None:
            self.report(file, entry, KNOWN_CLASS, f"{shown(class_value)}; {self.known_classes()}")
        good_box = self.box(file, entry, box, size)
        if index is None or good_box is None:
            return None
        return self.make_annotation(good_box, index)

    def take_classes(self, table: ListedClasses) -> None:
        """Takes the classes of a class file."""
        self.class_names = list(table.names.values())
        self.class_ids = table.class_ids

    def class_of(self, value: int | float) -> int | None:
        """Contiguous class id of a class id in the file; None if there is no such class."""
        number = to_float(value)
        return self.class_ids.get(int(number)) if number.is_integer() else None

    def known_classes(self) -> str:
        """The class ids in the file, for messages."""
        ids = list(self.class_ids)
        if ids == list(range(len(ids))):
            return f"known are 0 to {len(ids) - 1}"
        return f"known are {', '.join(map(str, ids))}"

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

    def has_folder(self, folder: str, what: str) -> bool:
        """Whether a folder is there, or none is named; False after reporting that it is missing.

        Args:
            folder: its path; "" is none.
            what: what it is, such as "image folder".
        """
        if folder and not os.path.isdir(folder):
            self.report(folder, what, MUST_EXIST, "no such folder")
            return False
        return True

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
    """Content of a UTF-8 file, or None after reporting why it can't be read.

    UTF-16 with its byte order mark, as Windows writes it, is read, too. Lines end with a line feed.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_wide else "utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        log.report(path, "whole file", MUST_EXIST, "no such file")
    except (OSError, UnicodeDecodeError) as error:
        log.report(path, "whole file", READABLE, str(error))
    return None


def read_yaml(path: str, log: ProblemLog) -> Any:
    """Content of a YAML file with its values as texts, or None after reporting its problem."""
    text = read_text(path, log)
    if text is None:
        return None
    try:
        content = load_texts(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        log.report(path, "whole file", "the file must be plain yaml", " ".join(str(error).split()))
        return None
    if content is None:
        log.report(path, "whole file", "the file must hold a mapping or a list", "nothing")
    return content


def read_listed_classes(path: str, log: ProblemLog) -> ListedClasses:
    """Classes from a class file; without names after reporting a problem of the file.

    Args:
        path: JSON, YAML, or text with a name or ``id:name`` a line; the content is described at
            :func:`smallobj.data.labels.listed_classes.listed_classes`.
        log: receives the problems.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending in (".yaml", ".yml"):
        content = read_yaml(path, log)
    elif ending == ".json":
        content = read_json(path, log)
    else:
        text = read_text(path, log)
        content = None if text is None else classes_of_lines(text, ending == ".csv")
    return ListedClasses() if content is None else listed_classes(path, content, log)


def read_class_file(path: str, log: ProblemLog) -> list[str]:
    """Class names from a class file, in the order of their ids; [] after reporting a problem."""
    return list(read_listed_classes(path, log).names.values())
