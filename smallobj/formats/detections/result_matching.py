"""COCO results matched with the images and classes of a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.rules import rule
from smallobj.formats.detections.result_checks import (
    CORNERS_RULE,
    PERCENT_RULE,
    corners_value,
    percent_value,
)
from smallobj.formats.detections.result_classes import BY_ID, ONE_WAY, find_classes
from smallobj.formats.detections.result_columns import ResultColumns
from smallobj.formats.detections.result_images import (
    FoundImages,
    ImageKey,
    as_id,
    as_whole,
    find_images,
)
from smallobj.formats.detections.result_kinds import ResultsContent
from smallobj.formats.detections.results_options import ResultsOptions
from smallobj.formats.detections.unknown_images import UnknownImages

RESULT_RULE = rule(
    "result",
    "a result must be an object with image_id, category_id, bbox and score",
    dropped="result",
)
IMAGE_ID = rule("result-image-id", "image_id must be a number or a text", dropped="result")
_KEYS = ("category_id", "bbox", "score")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownSet:
    """The images and classes that results may name.

    Attributes:
        image_ids: I ids.
        files: I paths.
        sizes: (I, 2), (h, w); 0 where they are unknown.
        class_names: K names.
        classes: class by category id.
    """

    image_ids: Sequence[int | str]
    files: Sequence[str]
    sizes: np.ndarray
    class_names: Sequence[str]
    classes: Mapping[int, int]


class _Rows(NamedTuple):
    """Images of the rows that are kept, the rows' numbers, and whether names found the images."""

    images: list[int]
    kept: Sequence[int]
    by_name: bool


def coco_columns(
    results: ResultsContent, path: str, known: KnownSet, options: ResultsOptions, log: ProblemLog
) -> ResultColumns:
    """The results of a data set as columns.

    Args:
        results: content of a file, of the kind COCO.
        path: the file.
        known: what the results are for.
        options: how ids are to be understood where the file doesn't tell.
        log: takes what is wrong with the file.
    """
    return _Matching(results, path, known, options, log).columns()


def doubtful(found: ResultColumns, sizes: np.ndarray) -> tuple[str, str] | None:
    """Rule and value where numbers are possible, but hardly meant; None where all is well.

    Args:
        found: the detections. What isn't a number is reported elsewhere.
        sizes: (I, 2) of the data set's images, (h, w).
    """
    try:
        scores = np.array(found.scores, dtype=np.float64)
        boxes = np.array(found.boxes, dtype=np.float64).reshape(-1, 4)
    except (ValueError, TypeError, OverflowError):
        return None
    value = percent_value(scores)
    if value is not None:
        return PERCENT_RULE, value
    if found.corners or len(boxes) != len(found.images):
        return None
    value = corners_value(boxes, sizes[np.array(found.images, dtype=np.int64)])
    return None if value is None else (CORNERS_RULE, value)


@dataclass(frozen=True)
class _Matching:
    """The arguments of :func:`coco_columns`, and its steps."""

    results: ResultsContent
    path: str
    known: KnownSet
    options: ResultsOptions
    log: ProblemLog

    def columns(self) -> ResultColumns:
        # All at once first: files have millions of results, and most are without a mistake. Only
        # if something is unusual each result is looked at.
        images, kept, by_name = self._plain_rows() or self._each_row()
        rows = [self.results.content[i] for i in kept]
        categories, boxes, scores = ([row[key] for row in rows] for key in _KEYS)
        if not set(map(type, categories)) <= {int}:
            categories = [_normal(category) for category in categories]
        classes = self._classes(categories, is_coco=not by_name)
        place = self.results.place
        return ResultColumns(
            lambda i: f"{place}[{kept[i]}]", classes, False, images, categories, boxes, scores
        )

    def _plain_rows(self) -> _Rows | None:
        """All rows, if each has all keys and a known id and none a file name; else None."""
        rows = self.results.content
        if self.results.files:
            return None
        try:
            ids = [row["image_id"] for row in rows]
            is_whole = all(key in row for row in rows for key in _KEYS)
            has_names = any("file_name" in row for row in rows)
        except (KeyError, TypeError):
            return None
        # true and 1.0 would find image 1 in a dict, too, so the types are looked at.
        if has_names or not is_whole or not set(map(type, ids)) <= {int, str}:
            return None
        found = self._find([ImageKey(identity, None) for identity in dict.fromkeys(ids)])
        if None in found.numbers.values():
            return None
        self._tell_way(found)
        numbers = {key.identity: number or 0 for key, number in found.numbers.items()}
        return _Rows([numbers[identity] for identity in ids], range(len(rows)), found.by_name)

    def _each_row(self) -> _Rows:
        """The rows of known images, after reporting what is wrong with others."""
        keys = {}
        for number, row in enumerate(self.results.content):
            key = self._key(row, self._place(number))
            if key is not None:
                keys[number] = key
        found = self._find(list(dict.fromkeys(keys.values())))
        unknown = UnknownImages(self.path)
        kept = {}
        for number, key in keys.items():
            image = found.numbers[key]
            if image is None:
                unknown.add(_name(key, found.by_name), self._place(number))
            else:
                kept[number] = image
        unknown.tell(self.log)
        self._tell_way(found)
        return _Rows(list(kept.values()), list(kept), found.by_name)

    def _place(self, number: int) -> str:
        return f"{self.results.place}[{number}]"

    def _key(self, row: Any, place: str) -> ImageKey | None:
        """What a row says of its image, None after reporting what is wrong with it."""
        if not isinstance(row, dict) or not all(key in row for key in _KEYS):
            self.log.report(self.path, place, RESULT_RULE, shown(row))
            return None
        identity = as_id(row.get("image_id"))
        files = self.results.files
        file = files.get(identity) if files else row.get("file_name")
        if isinstance(file, str) and file:
            return ImageKey(identity, file)
        if "image_id" not in row:
            self.log.report(self.path, place, RESULT_RULE, shown(row))
            return None
        if identity is None:
            self.log.report(self.path, place, IMAGE_ID, shown(row["image_id"]))
            return None
        return ImageKey(identity, None)

    def _find(self, keys: Sequence[ImageKey]) -> FoundImages:
        return find_images(keys, self.known.image_ids, self.known.files, self.options.image_ids)

    def _tell_way(self, found: FoundImages) -> None:
        """Logs how images were found where that isn't COCO's rule, or may be another one."""
        examples = [(key, number) for key, number in found.numbers.items() if number is not None]
        if not examples or not (found.by_name or found.doubt):
            return
        key, number = examples[0]
        what, file = shown(_name(key, found.by_name)), shown(self.known.files[number])
        if found.by_name:
            _logger.warning("%s: images are found by name: %s is %s", self.path, what, file)
            return
        _logger.warning(
            "%s: image_id is taken for an id of the labels (%s is %s), but could also be the name "
            "of an image file without its ending; if so, say --image-ids name",
            *(self.path, what, file),
        )

    def _classes(self, categories: Sequence[Any], is_coco: bool) -> dict[int, int]:
        """Class by category id, by the categories that the file brings along or by what fits."""
        names, way = self.known.class_names, self.options.category_ids
        if self.results.categories and not way:
            numbers = {name: k for k, name in enumerate(names)}
            pairs = ((as_whole(key), name) for key, name in self.results.categories.items())
            return {
                key: numbers[name] for key, name in pairs if key is not None and name in numbers
            }
        used = {category for category in categories if type(category) is int}
        if any(type(category) is not int for category in categories):
            way = way or BY_ID  # what is no id fits nothing, and is reported
        found = find_classes(used, self.known.classes, names, way, is_coco)
        if not found.way:
            value = f"{found.told}; --category-ids says which"
            self.log.report(self.path, "category_id", ONE_WAY, value)
        elif found.told and not self.options.category_ids:
            _logger.warning("%s: category_id is taken for %s", self.path, found.told)
        return found.classes


def _name(key: ImageKey, by_name: bool) -> int | str | None:
    """What a result calls its image: its file where names decide, else its id."""
    if key.identity is None or (by_name and key.file is not None):
        return key.file
    return key.identity


def _normal(category: Any) -> Any:
    """A category id as an int where it is one, else as it stands."""
    whole = as_whole(category)
    return category if whole is None else whole
