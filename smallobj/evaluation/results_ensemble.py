"""Results files of several models merged into one set of detections."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from smallobj.data.labels.problems import ProblemLog, ResultsError
from smallobj.data.labels.reading import read_json
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.formats.detections.result_images import as_id, as_whole
from smallobj.formats.detections.result_kinds import CHALLENGE, COCO, OWN, look_into
from smallobj.formats.image_names import ImageNames
from smallobj.merging import ModelMerger

# A class beyond these is an error, which is reported when the file is read.
_MOST_CLASSES = 10_000

_logger = logging.getLogger(__name__)


class ResultsFiles(NamedTuple):
    """What results files are about, as far as they tell themselves.

    Attributes:
        kind: of all of them, as :func:`results_kind` names it; None where they differ.
        first_kind: of the first.
        data: the images and classes that occur, without labels. COCO results tell no sizes; these
            are 0 then.
        category_ids: class by category id of COCO results.
    """

    kind: str | None
    first_kind: str | None
    data: EvaluationSet
    category_ids: dict[int, int]


def describe_files(paths: Sequence[str]) -> ResultsFiles:
    """Looks through results files, without judging their entries: reading them does.

    Raises:
        ResultsError: a file is no JSON.
        ValueError: two files name different classes.
    """
    log = ProblemLog()
    parsed = [(path, read_json(path, log)) for path in paths]
    found = [look_into(one, path, log) for path, one in parsed if one is not None]
    if log.problems:
        raise ResultsError(log.problems)
    results = [one for one in found if one is not None]
    _check_categories(paths, [one.categories for one in results])
    kinds = [one.kind for one in results]
    contents = [one.content for one in results]
    kind = kinds[0] if len(set(kinds)) == 1 else None
    if kind == COCO:
        ids, numbers = _coco_ids(contents)
        data = _data(ids, [(0, 0)] * len(ids), [str(number) for number in numbers])
        return ResultsFiles(kind, kind, data, {number: k for k, number in enumerate(numbers)})
    if kind == OWN:
        sizes = _own_images(contents)
        data = _data(list(sizes), list(sizes.values()), _own_classes(paths, contents))
    else:
        mappings = [one.content for one in results if one.kind == CHALLENGE]
        names = _joined(mappings)
        data = _data(names, [(0, 0)] * len(names), _challenge_classes(mappings))
    return ResultsFiles(kind, kinds[0], data, {k: k for k in range(len(data.class_names))})


def _check_categories(paths: Sequence[str], categories: Sequence[Mapping[Any, str]]) -> None:
    """
    Raises:
        ValueError: two files of COCO results bring different categories along.
    """
    named = [(path, names) for path, names in zip(paths, categories, strict=True) if names]
    for path, names in named[1:]:
        if names != named[0][1]:
            raise ValueError(
                f"{named[0][0]} and {path} have different categories; --gt must say which images "
                "and classes they share"
            )


def merge_tables(
    data: EvaluationSet, tables: Sequence[DetectionTable], merger: ModelMerger, most: int
) -> DetectionTable:
    """What several models found, merged image by image.

    Args:
        data: the images that the tables number.
        tables: one a model, ordered by image.
        merger: of so many models.
        most: detections that an image may keep, the best ones.
    """
    numbers = np.arange(len(data.image_ids) + 1)
    # The tables are ordered by image, so each image is a slice of them.
    bounds = [np.searchsorted(table.images, numbers) for table in tables]
    merged = {}
    images, cut = 0, 0
    for number, size in enumerate(data.sizes.tolist()):
        found = merger(
            [
                _instances(table[np.arange(bound[number], bound[number + 1])], tuple(size))
                for table, bound in zip(tables, bounds, strict=True)
            ]
        )
        if len(found) > most:
            images, cut = images + 1, cut + len(found) - most
            found = found[:most]
        merged[number] = DetectionTable.single_image(
            found.pred_boxes.tensor.numpy(), found.scores.numpy(), found.pred_classes.numpy()
        )
    if cut:
        _logger.warning(
            "%d detections of %d images are cut: an image keeps at most %d", cut, images, most
        )
    return DetectionTable.from_images(merged)


def _instances(table: DetectionTable, size: tuple[int, int]) -> Instances:
    found = Instances(size)
    found.pred_boxes = Boxes(torch.from_numpy(table.boxes).float())  # as Detectron2 has them
    found.scores = torch.from_numpy(table.scores)
    found.pred_classes = torch.from_numpy(table.categories)
    return found


def _data(ids: Sequence[Any], sizes: Sequence[Any], classes: Sequence[str]) -> EvaluationSet:
    return EvaluationSet(
        list(ids),
        [str(image_id) for image_id in ids],
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        list(classes),
        LabelTable.empty(),
        DetectionTable.empty(),
    )


def _coco_ids(contents: Sequence[list[Any]]) -> tuple[list[Any], list[int]]:
    """Image ids in the order of their first mention, and category ids, rising."""
    rows = [row for content in contents for row in content if isinstance(row, dict)]
    # What is no id is reported by the reader.
    ids = dict.fromkeys(i for row in rows if (i := as_id(row.get("image_id"))) is not None)
    # Texts of numbers that another file has as numbers.
    known = [i for i in ids if not (isinstance(i, str) and as_whole(i) in ids)]
    categories = {k for row in rows if (k := as_whole(row.get("category_id"))) is not None}
    return known, sorted(categories)


def _own_images(contents: Sequence[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Sizes (h, w) by file; one that files call by different ends of its path counts once."""
    entries = [
        [image for image in content["images"] if isinstance(image, dict)] for content in contents
    ]
    names = _joined([str(image.get("file")) for image in images] for images in entries)
    sizes = dict.fromkeys(names, (0, 0))
    find = ImageNames(names).find_exactly
    # Backwards, so that the first mention of an image sets its size.
    for image in (image for images in reversed(entries) for image in reversed(images)):
        number = find(str(image.get("file")))
        height, width = image.get("height"), image.get("width")
        if number is not None and isinstance(height, int) and isinstance(width, int):
            sizes[names[number]] = (height, width)
    return sizes


def _joined(files: Iterable[Iterable[str]]) -> list[str]:
    """All image names, each once."""
    names: list[str] = []
    for more in files:
        find = ImageNames(names).find_exactly
        # Only the files before: names of one file are different images, whatever their ends.
        names += dict.fromkeys(name for name in more if find(name) is None)
    return names


def _own_classes(paths: Sequence[str], contents: Sequence[dict[str, Any]]) -> list[str]:
    lists = [content.get("classes") for content in contents]
    named = [(path, names) for path, names in zip(paths, lists, strict=True) if names]
    if not named:
        images = [image for content in contents for image in content["images"]]
        found = [image.get("detections") for image in images if isinstance(image, dict)]
        rows = [row for rows in found if isinstance(rows, list) for row in rows]
        return _numbered(row.get("class_id") for row in rows if isinstance(row, dict))
    path, names = named[0]
    for other, theirs in named[1:]:
        # A list that holds other things is reported when the file is read.
        if _are_texts(names) and _are_texts(theirs) and {*names} != {*theirs}:
            unshared = sorted({*names} ^ {*theirs}, key=str)
            raise ValueError(
                f"the models of an ensemble must find the same classes; {path} and {other} do not "
                f"share {', '.join(map(str, unshared[:5]))}"
            )
    return names if isinstance(names, list) else []


def _are_texts(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _challenge_classes(contents: Sequence[dict[str, Any]]) -> list[str]:
    lists = [content.values() for content in contents]
    rows = [row for images in lists for image in images if isinstance(image, list) for row in image]
    return _numbered(row[0] for row in rows if isinstance(row, list) and row)


def _numbered(classes: Iterable[Any]) -> list[str]:
    """Names for classes that have none."""
    known = [int(k) for k in classes if type(k) in (int, float) and 0 <= k < _MOST_CLASSES]
    return [str(k) for k in range(max(known, default=-1) + 1)]
