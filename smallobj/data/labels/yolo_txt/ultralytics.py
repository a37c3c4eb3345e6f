"""Ultralytics' data.yaml: the images of each split, their YOLO labels and the class names.

``train``, ``val`` and ``test`` are folders of images, texts with a path a line, or lists of these,
below ``path``. An image's label file has its path with ``labels`` in place of the last ``images``,
and the ending .txt. Source: Ultralytics' page on detection data sets.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from smallobj.data.labels.image_list import list_images
from smallobj.data.labels.label_files import PARTNER_RULE, stem
from smallobj.data.labels.listed_classes import listed_classes
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.reading import DatasetReading, read_text, read_yaml
from smallobj.data.labels.rules import FIX, IMAGE_EXISTS, rule
from smallobj.data.labels.spec import DatasetSpec, datasets_root
from smallobj.data.labels.yolo_txt.yolo import (
    ONE_IMAGE_RULE,
    is_label_name,
    is_other_text,
    read_pairs,
)
from smallobj.data.labels.yolo_txt.yolo_lines import LineForm

_FILE_RULE = "the file must be a data.yaml with train, val or test"
_ENTRY_RULE = "a split must be a folder or a text with a path a line, or a list of these"
_PLACE_RULE = "the folder or list of a split must exist"
_ELSEWHERE_RULE = rule(
    "path-elsewhere",
    "a path must lead to where its images lie",
    FIX,
    fixed="images found elsewhere",
)
_TWICE_RULE = rule(
    "image-listed-twice",
    "an image may occur once in a split",
    FIX,
    fixed="copy of an image left out",
)
_SOME_LABELS_RULE = rule(
    "no-label-files",
    "a split for training or validation must have label files",
    fixed="images read without objects",
)
# Names in the file, by the names of the splits.
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_logger = logging.getLogger(__name__)


def ultralytics_splits(path: str, log: ProblemLog) -> list[str]:
    """Names of the splits in a data.yaml, of train, val and test.

    A ``test`` that isn't there is left out: exports name one that they don't contain.
    """
    content = _read(path, log)
    if content is None:
        return []
    found = [split for split in _SPLITS if _value(content, split)]
    if not found:
        log.report(path, "splits", _FILE_RULE, shown(sorted(content)))
    if "test" in found and len(found) > 1:
        places = _Places(path, content, ProblemLog())
        if not any(place for _, place in places.of(_value(content, "test"))):
            _logger.warning("%s: test is left out, nothing lies at %s", path, content.get("test"))
            found.remove("test")
    return found


def read_ultralytics(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads one split of a data.yaml."""
    reading = DatasetReading(policy=policy)
    content = _read(spec.annotations, reading)
    if content is None:
        return reading
    table = listed_classes(spec.annotations, content, reading)
    reading.take_classes(table)
    value = _value(content, spec.split)
    if not value:
        names = [split for split in _SPLITS if _value(content, split)]
        reading.report(spec.annotations, "splits", f"there are {names}", shown(spec.split))
        return reading
    images = _images(_Places(spec.annotations, content, reading), value, reading)
    if reading.problems:
        return reading
    labels = _Labels(reading)
    pairs = [(image, labels.of(image)) for image in images]
    # Beside the images of a list there may be those of another split.
    if not any(".txt" in str(entry) for entry in (value if isinstance(value, list) else [value])):
        labels.report_unpaired()
    if pairs and not any(label for _, label in pairs) and spec.split != "test":
        folder = _label_folder(os.path.dirname(pairs[0][0]))
        reading.report(spec.annotations, spec.split, _SOME_LABELS_RULE, f"none in {folder}")
    read_pairs(pairs, LineForm(False, table.keypoints, reading.class_names), reading)
    return reading


def _read(path: str, log: ProblemLog) -> dict[str, Any] | None:
    content = read_yaml(path, log)
    if content is not None and not isinstance(content, dict):
        log.report(path, "whole file", _FILE_RULE, shown(content))
        return None
    return content


def _value(content: dict[str, Any], split: str) -> Any:
    return next((content[key] for key in _SPLITS.get(split, ()) if content.get(key)), None)


class _Places:
    """Finds what a data.yaml names."""

    def __init__(self, path: str, content: dict[str, Any], log: ProblemLog) -> None:
        self.path = path
        self._log = log
        self._folder = os.path.dirname(os.path.abspath(path))
        # Roboflow writes "../train/images" for the folder beside the file; what lies above it may
        # be another data set.
        self._is_roboflow = "roboflow" in content
        root = _slashed(content.get("path") or "")
        # Where Ultralytics' settings put data sets is unknown here; these are the likely folders.
        bases = [os.path.join(self._folder, root), self._folder]
        bases += [os.path.join(datasets_root(), root), os.path.abspath(root), datasets_root()]
        self.bases = list(dict.fromkeys(map(os.path.normpath, bases)))

    def of(self, value: Any) -> Iterator[tuple[str, str]]:
        """(what the file names, the path where it is or "") of each entry of a split."""
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str):
                self._log.report(self.path, "splits", _ENTRY_RULE, shown(entry))
                continue
            yield entry, self.find(entry)

    def find(self, entry: str, *folders: str) -> str:
        """The path where an entry is, "" if it is nowhere.

        Args:
            entry: as the file has it.
            folders: where it is searched first.
        """
        names = list(_shorter(_slashed(entry), os.path.basename(self._folder)))
        if self._is_roboflow:
            names.sort(key=lambda name: name.startswith("../"))
        first = ""
        for name in names:
            for base in (*folders, *self.bases):
                path = os.path.normpath(os.path.join(base, name))
                first = first or path
                if os.path.exists(path):
                    if path != first:
                        value = f"{shown(str(entry))}, found at {path}"
                        self._log.report(self.path, "splits", _ELSEWHERE_RULE, value)
                    return path
        return ""


def _slashed(path: str) -> str:
    return os.path.expanduser(path.strip().replace("\\", "/"))


def _shorter(name: str, folder: str) -> Iterator[str]:
    """The name, and what it would be below the folder of the data.yaml.

    Exports have a "../" too many, the folder's own name, or the paths of another machine.

    >>> list(_shorter("../train/images", "bolts"))
    ['../train/images', 'train/images']
    >>> list(_shorter("C:/bolts/train/images", "bolts"))
    ['C:/bolts/train/images', 'bolts/train/images', 'train/images']
    """
    parts = name.split("/")
    starts = [0]
    while parts[starts[-1]] == "..":
        starts.append(starts[-1] + 1)
    if name.startswith("/") or parts[0].endswith(":"):
        starts += range(1, len(parts) - 1)
    for start in starts:
        yield "/".join(parts[start:])
        if parts[start] == folder and len(parts) > start + 1:
            yield "/".join(parts[start + 1 :])


def _images(places: _Places, value: Any, reading: DatasetReading) -> list[str]:
    """Paths of the images of a split, each one once."""
    found: list[str] = []
    for entry, path in places.of(value):
        if os.path.isdir(path):
            found += [os.path.join(path, name) for name in list_images(path)]
        elif path:
            found += _listed(path, places, reading)
        else:
            value = f"{shown(str(entry))}, nowhere in {', '.join(places.bases)}"
            reading.report(places.path, "splits", _PLACE_RULE, value)
    once: dict[str, None] = {}
    for path in map(os.path.normpath, found):
        if path in once:
            reading.report(path, "image file", _TWICE_RULE, "it again")
        once[path] = None
    return list(once)


def _listed(path: str, places: _Places, reading: DatasetReading) -> list[str]:
    """Images of a text with a path a line; a relative one starts at the text's folder."""
    images = []
    for number, line in enumerate((read_text(path, reading) or "").split("\n"), start=1):
        if not line.strip():
            continue
        image = places.find(line, os.path.dirname(path))
        if image:
            images.append(image)
        else:
            reading.report(path, f"line {number}", IMAGE_EXISTS, f"no file {line.strip()}")
    return images


def _label_folder(folder: str) -> str:
    """The folder of the labels of a folder of images: its path with the last "images" replaced."""
    parts = folder.split(os.sep)
    for at in range(len(parts) - 1, -1, -1):
        if parts[at].lower() == "images":
            name = "Labels" if parts[at][0] == "I" else "labels"
            found = [os.sep.join([*parts[:at], one, *parts[at + 1 :]]) for one in (name, "labels")]
            return next((one for one in found if os.path.isdir(one)), found[-1])
    return folder


class _Labels:
    """Label files of images, with each folder listed once."""

    def __init__(self, reading: DatasetReading) -> None:
        self._reading = reading
        self._folders: dict[str, dict[str, str]] = {}
        self._taken: dict[str, str] = {}
        self._own: dict[str, None] = {}

    def of(self, image: str) -> str:
        """The label file of an image, "" if there is none."""
        folder, name = os.path.split(image)
        own = _label_folder(folder)
        self._own[own] = None
        for place in dict.fromkeys((own, folder)):
            label = self._listed(place).get(stem(name))
            if label is not None:
                path = os.path.join(place, label)
                if path in self._taken:
                    first = f"also {self._taken[path]!r}"
                    self._reading.report(image, "image file", ONE_IMAGE_RULE, first)
                self._taken[path] = image
                return path
        return ""

    def _listed(self, folder: str) -> dict[str, str]:
        if folder not in self._folders:
            names = os.listdir(folder) if os.path.isdir(folder) else []
            self._folders[folder] = {stem(name): name for name in names if is_label_name(name)}
        return self._folders[folder]

    def report_unpaired(self) -> None:
        """Reports label files whose image is missing."""
        for folder in self._own:
            for name in sorted(self._listed(folder).values()):
                path = os.path.join(folder, name)
                if path not in self._taken and not is_other_text(path):
                    self._reading.report(path, "whole file", PARTNER_RULE, "none in this split")
