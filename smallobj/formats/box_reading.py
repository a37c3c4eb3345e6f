"""A reading in progress: boxes by image, and every rule that the files break."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from smallobj.data.labels.image_size import list_images, read_sizes
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import MUST_EXIST, DatasetReading, read_class_file
from smallobj.data.labels.rules import (
    KNOWN_CLASS,
    broken_box_rule,
    is_number,
    rule,
    to_float,
)
from smallobj.formats.box_set import DECIMALS, BoxSet, ImageBoxes
from smallobj.formats.results_options import ResultsOptions

NUMBER = rule("box-not-numbers", "a coordinate must be a number", dropped="box")
SCORE = rule("score", "a score must be a number from 0 to 1", dropped="box")
SCORE_MISSING = "either all boxes have a score, or none has"
KNOWN_FILE = rule(
    "label-of-unknown-image", "the image must lie in the folder of images", dropped="box"
)
UNIQUE_IMAGE = "an image may be named once"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where labels or detections are read from.

    Attributes:
        path: the file, or the folder of label files.
        images: folder of the images; "" where it isn't needed. It gives the sizes, and images
            without boxes where the format leaves them out.
        classes: file with the class names; "" where they come from the format or the boxes.
        coco_images: COCO annotation file that says what the ids in COCO results mean.
        class_names: the class names themselves, where they are known without a file.
        policy: what is done about broken rules.
        results: how COCO results are to be understood.
    """

    path: str
    images: str = ""
    classes: str = ""
    coco_images: str = ""
    class_names: Sequence[str] = ()
    policy: Policy = DEFAULT_POLICY
    results: ResultsOptions = dataclasses.field(default_factory=ResultsOptions)


@dataclasses.dataclass
class _Boxes:
    """An image being read; a row is (x1, y1, x2, y2, class, score, crowd)."""

    size: tuple[int, int] | None
    image_id: int | None = None
    rows: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class BoxReading(DatasetReading):
    """What a reader of boxes has so far.

    Attributes:
        boxes: by image file.
        open_classes: a class name that was not seen before becomes a class.
        first_scored: whether the first box had a score; None before it.
    """

    boxes: dict[str, _Boxes] = dataclasses.field(default_factory=dict)
    open_classes: bool = False
    first_scored: bool | None = None

    def read_classes(self, source: Source) -> None:
        """Takes the class names that are known or a file's; without any each new name is one."""
        self.open_classes = not (source.classes or source.class_names)
        self.class_names = list(source.class_names)
        if source.classes:
            self.class_names = read_class_file(source.classes, self)

    def list_folder(self, folder: str) -> None:
        """Takes all images of a folder and below, with their sizes."""
        if not os.path.isdir(folder):
            self.report(folder, "image folder", MUST_EXIST, "no such folder")
            return
        names = list_images(folder)
        paths = [os.path.join(folder, name) for name in names]
        for name, path, size in zip(names, paths, read_sizes(paths), strict=True):
            if isinstance(size, Exception):
                self.report_image(path, "image file", path, size)
            # Kept all the same, or each of its boxes would be reported as one of an unknown image.
            self.boxes[slashed(name)] = _Boxes(None if isinstance(size, Exception) else size)

    def named(self, name: str, file: str, entry: str) -> int | None:
        """Index of a class name, or None after reporting an unknown one."""
        if self.open_classes and name and name not in self.class_names:
            self.class_names.append(name)
        if name in self.class_names:
            return self.class_names.index(name)
        value = f"{shown(name)}; known are {shown(self.class_names)}"
        self.report(file, entry, KNOWN_CLASS, value)
        return None

    def numbers(self, file: str, entry: str, values: Sequence[Any]) -> list[float] | None:
        """Coordinates from a file, text or numbers; None after reporting what isn't one."""
        numbers = [_number(value) for value in values]
        good = [number for number in numbers if number is not None]
        if len(good) < len(numbers):
            wrong = values[numbers.index(None)]
            self.report(file, entry, NUMBER, shown(wrong))
            return None
        return good

    def add(
        self,
        image: str,
        index: int | None,
        corners: Sequence[float] | None,
        score: Any = None,
        *,
        place: tuple[str, str],
        crowd: bool = False,
    ) -> None:
        """Takes a box, or reports the rules that it breaks.

        Args:
            image: key of ``boxes``.
            index: contiguous class, None where it was reported already.
            corners: (x1, y1, x2, y2) in pixels, None where they were reported already.
            score: a number or its text; None for a label.
            place: file and entry that a problem names.
            crowd: the box stands for many objects.
        """
        # No early return: one reading reports all rules that a box breaks.
        number = _number(score)
        if score is not None and (number is None or not 0 <= number <= 1):
            self.report(*place, SCORE, shown(score))
            index = None
        if self.first_scored is None:
            self.first_scored = score is not None
        elif self.first_scored is not (score is not None):
            self.report(*place, SCORE_MISSING, f"score {shown(score)}")
        good = self._checked(corners, self.boxes[image].size, place) if corners else None
        if good is not None and index is not None:
            self.boxes[image].rows.append((*good, index, number, crowd))

    def _checked(
        self, corners: Sequence[float], size: tuple[int, int] | None, place: tuple[str, str]
    ) -> list[float] | None:
        x1, y1, x2, y2 = corners
        box = [x1, y1, x2 - x1, y2 - y1]
        if size is None:
            # Without a size only the rules that need none are checked, and nothing is clipped.
            broken = broken_box_rule(box, None)
            if broken is not None:
                self.report(*place, broken, str(list(corners)))
            return None if broken else list(corners)
        if self.box(*place, box, size) is None:
            return None
        height, width = size
        # Clipped as corners: x + (x2 - x) may miss x2 by a rounding.
        return [max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)]

    def box_set(self, category_ids: Sequence[int] = ()) -> BoxSet:
        """What was read; images in the order in which they came."""
        images = [
            image_boxes(file, image.size, image.rows, image.image_id)
            for file, image in self.boxes.items()
        ]
        return BoxSet(images, list(self.class_names), list(category_ids), self.changes)

    @classmethod
    def from_dataset(cls, dataset: DatasetReading, folder: str) -> BoxReading:
        """What a reader of data sets has read: its classes, records and problems.

        Args:
            dataset: of images in ``folder``.
            folder: is left out of their names.
        """
        reading = cls(**vars(dataset))
        # With the slash, or a folder "val" would be cut off "val2/1.jpg", too.
        start = os.path.join(folder, "") if folder else ""
        for record in dataset.records:
            file = slashed(record["file_name"].removeprefix(start))
            size = (record["height"], record["width"])
            reading.boxes[file] = _Boxes(size, record["image_id"])
            for annotation in record["annotations"]:
                x, y, w, h = annotation["bbox"]
                score, crowd = annotation.get("score"), bool(annotation["iscrowd"])
                row = (x, y, x + w, y + h, annotation["category_id"], score, crowd)
                reading.boxes[file].rows.append(row)
        return reading

    def new_image(
        self, file: str, size: tuple[int, int] | None, place: tuple[str, str], folder: str = ""
    ) -> bool:
        """Takes an image; False after reporting that it came before or isn't in the folder.

        Args:
            file: its name.
            size: (h, w) as the labels say it; the image's own counts where there is a folder.
            place: file and entry that a problem names.
            folder: of the images, when there is one.
        """
        if file in self.boxes:
            self.report(*place, UNIQUE_IMAGE, f"{shown(file)} again")
            return False
        if folder:
            (found,) = read_sizes([os.path.join(folder, file)])
            if isinstance(found, Exception):
                self.report_image(*place, os.path.join(folder, file), found)
                return False
            size = found
        self.boxes[file] = _Boxes(size)
        return True


def image_boxes(
    file: str,
    size: tuple[int, int] | None,
    rows: Sequence[tuple[Any, ...]],
    image_id: int | None = None,
) -> ImageBoxes:
    """An image from rows (x1, y1, x2, y2, class, score or None, crowd)."""
    boxes = np.array([row[:4] for row in rows], np.float64).reshape(-1, 4).round(DECIMALS)
    # The first box speaks for all: readers report a mix.
    scored = bool(rows) and rows[0][5] is not None
    crowd = np.array([row[6] for row in rows], bool)
    return ImageBoxes(
        file,
        size,
        boxes,
        np.array([row[4] for row in rows], np.int64),
        np.array([row[5] for row in rows], np.float64) if scored else None,
        crowd if crowd.any() else None,
        image_id,
    )


def slashed(path: str) -> str:
    """With "/" between folders, as files that travel between systems have it."""
    return path.replace(os.sep, "/")


def _number(value: Any) -> float | None:
    """A number from a file, or the number that a text stands for."""
    if is_number(value):
        return to_float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def whole_size(width: Any, height: Any) -> tuple[int, int] | None:
    """(h, w) from two numbers or their texts, None unless both are whole and positive."""
    sides = [_number(height), _number(width)]
    if any(side is None or not math.isfinite(side) or side < 1 or side % 1 for side in sides):
        return None
    # No side is None here; "or" says so to the type checker.
    return int(sides[0] or 0), int(sides[1] or 0)
