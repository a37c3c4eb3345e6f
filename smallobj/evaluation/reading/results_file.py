"""Detections from a results file of any of three kinds, checked against the data set they are for.

The kinds, told apart by their content; the second one also as .jsonl, a line an image:
  COCO results: ``[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}, ...]``
  this project's JSON: ``{"images": [{"file", "width", "height", "detections": [{"class_id",
    "score", "box": [x1, y1, x2, y2]}]}], "classes": [...]}``
  the challenge's: ``{"2133.jpg": [[class, x, y, w, h, score], ...], ...}``

A score may be any finite number, as in COCO; what needs probabilities has to ask for them. A box
may be empty or stick out of its image, which writers' rounding does; it can't be inside out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from smallobj.data.datasets.problems import ProblemLog, ResultsError, shown
from smallobj.data.datasets.reading import read_json, read_json_lines
from smallobj.data.datasets.rules import FINITE_BOX, KNOWN_CLASS, is_number, to_float
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.formats.image_names import ImageNames

COCO, OWN, CHALLENGE = "coco", "own", "challenge"

FILE_RULE = (
    "a results file must be a JSON list of COCO results, an object with the list images as "
    "tools/detect.py writes it, or an object of lists by image name as the challenge has it"
)
LABELS_RULE = "a results file must hold detections, not labels"
RESULT_RULE = "a result must be an object with image_id, category_id, bbox and score"
IMAGE_RULE = "an image must be an object with a text file and a list detections"
FOUND_RULE = "a detection must be an object with class_id, box and score"
LIST_RULE = "an image must have a list of detections"
ROW_RULE = "a detection must be a list of six numbers, class, x, y, w, h, score"
CLASSES_RULE = "classes must be a list of texts"
KNOWN_ID = "image_id must be the id of an image of the data set"
KNOWN_FILE = "the image must be one of the data set"
ONCE = "an image may occur once"
SIZE_RULE = "width and height must be those of the image in the data set"
BOX_RULE = "a box must be a list of four numbers"
NEGATIVE = "a box must not have negative width or height"
SCORE_RULE = "a score must be a finite number"


@dataclass
class _Columns:
    """Detections as they stand in the file, all lists equally long.

    Attributes:
        corners: boxes are x1, y1, x2, y2, not x, y, w, h.
        classes: the data set's class by class in the file.
        where: names an entry by its number here.
    """

    where: Callable[[int], str]
    classes: dict[int, int]
    corners: bool = False
    images: list[int] = field(default_factory=list)
    categories: list[Any] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)


def read_results(
    path: str, data: EvaluationSet, category_ids: dict[int, int] | None = None
) -> DetectionTable:
    """The detections of a results file, ordered by image, else as they stand in the file.

    Args:
        path: the file.
        data: what they are for; its detections are not looked at. Images that the file leaves out
            have no detections.
        category_ids: class of ``data`` by category id of COCO results; None: they are the same.

    Raises:
        ResultsError: all broken rules, each with file, entry and value.
    """
    log = ProblemLog()
    content = _content(path, log)
    columns = None
    if content is not None and not log.problems:
        columns = _columns(content, path, data, category_ids, log)
    table = None
    if columns is not None:
        table = _table(columns)
        if table is None:
            _report_each(columns, path, log)
            assert log.problems, "both ways of checking must agree"
    if table is None or log.problems:
        raise ResultsError(log.problems)
    return table[np.argsort(table.images, kind="stable")]


def _content(path: str, log: ProblemLog) -> Any:
    if not path.endswith(".jsonl"):
        return read_json(path, log)
    images = read_json_lines(path, log)
    return None if images is None else {"images": images, "classes": _ClassNames(images)}


class _ClassNames(dict[int, str]):
    """Names by class id of a .jsonl, where each detection carries its own.

    A type of its own: a JSON file's list ``classes`` may be wrongly a dict.
    """

    def __init__(self, images: list[Any]) -> None:
        super().__init__()
        for image in images:
            found = image.get("detections") if isinstance(image, dict) else None
            for one in found if isinstance(found, list) else []:
                if _is_object(one) and type(one["class_id"]) is int and one["class_id"] >= 0:
                    self.setdefault(one["class_id"], str(one.get("class", "")))


def _columns(
    content: Any,
    path: str,
    data: EvaluationSet,
    category_ids: dict[int, int] | None,
    log: ProblemLog,
) -> _Columns | None:
    same = {k: k for k in range(len(data.class_names))}
    kind = results_kind(content)
    if kind == COCO:
        classes = same if category_ids is None else category_ids
        return _coco_columns(content, path, data, classes, log)
    if kind == OWN:
        return _own_columns(content, path, data, log)
    if kind == CHALLENGE:
        return _challenge_columns(content, path, data, same, log)
    if _is_labels(content):
        log.report(path, "whole file", LABELS_RULE, "a COCO file with annotations")
    else:
        log.report(path, "whole file", FILE_RULE, shown(content))
    return None


def results_kind(content: Any) -> str | None:
    """Which of the three kinds a JSON file's content is; None for another."""
    if isinstance(content, list):
        return COCO
    if not isinstance(content, dict) or _is_labels(content):
        return None
    if "images" not in content:
        return CHALLENGE
    return OWN if isinstance(content["images"], list) else None


def _is_labels(content: Any) -> bool:
    return isinstance(content, dict) and "annotations" in content and "images" in content


def _coco_columns(
    rows: list[Any],
    path: str,
    data: EvaluationSet,
    classes: dict[int, int],
    log: ProblemLog,
) -> _Columns:
    place = {one: number for number, one in enumerate(data.image_ids)}
    kept = list(range(len(rows)))
    try:
        ids = [row["image_id"] for row in rows]
        fields = [[row[key] for row in rows] for key in ("category_id", "bbox", "score")]
        images = [place.get(one, -1) for one in ids]
        is_good = -1 not in images and set(map(type, ids)) <= {int, str}
    except (KeyError, TypeError):
        is_good = False
    if not is_good:
        kept = [i for i, row in enumerate(rows) if _is_known(row, i, place, path, log)]
        images = [place[rows[i]["image_id"]] for i in kept]
        fields = [[rows[i][key] for i in kept] for key in ("category_id", "bbox", "score")]
    return _Columns(lambda i: f"[{kept[i]}]", classes, False, images, *fields)


def _is_known(
    row: Any, number: int, place: dict[int | str, int], path: str, log: ProblemLog
) -> bool:
    keys = ("image_id", "category_id", "bbox", "score")
    if not isinstance(row, dict) or not all(key in row for key in keys):
        log.report(path, f"[{number}]", RESULT_RULE, shown(row))
        return False
    one = row["image_id"]
    if type(one) not in (int, str) or one not in place:
        log.report(path, f"[{number}]", KNOWN_ID, shown(one))
        return False
    return True


def _own_columns(
    content: dict[str, Any], path: str, data: EvaluationSet, log: ProblemLog
) -> _Columns | None:
    names = content.get("classes", list(data.class_names))
    if not isinstance(names, _ClassNames):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            log.report(path, "classes", CLASSES_RULE, shown(names))
            return None
        names = dict(enumerate(names))
    known = {name: k for k, name in enumerate(data.class_names)}
    classes = {index: known[name] for index, name in names.items() if name in known}
    entries: list[tuple[str, int]] = []
    columns = _Columns(lambda i: _entry_of(entries, i), classes, True)
    numbers = ImageNames(data.file_names)
    seen: set[int] = set()
    for at, image in enumerate(content["images"]):
        where = f"images[{at}]"
        if isinstance(image, dict) and "error" in image and "detections" not in image:
            continue  # tools/detect.py could not read it
        if not isinstance(image, dict) or not (
            isinstance(image.get("file"), str) and isinstance(image.get("detections"), list)
        ):
            log.report(path, where, IMAGE_RULE, shown(image))
            continue
        number = _number(image["file"], f"{where} ({image['file']})", numbers, seen, path, log)
        if number is None:
            continue
        _check_size(image, where, data.sizes[number].tolist(), path, log)
        good = [i for i, one in enumerate(image["detections"]) if _is_object(one)]
        for i in sorted(set(range(len(image["detections"]))) - set(good)):
            value = shown(image["detections"][i])
            log.report(path, f"{where}.detections[{i}]", FOUND_RULE, value)
        rows = [image["detections"][i] for i in good]
        entries += [(f"{where}.detections", i) for i in good]
        columns.images += [number] * len(rows)
        columns.categories += [row["class_id"] for row in rows]
        columns.boxes += [row["box"] for row in rows]
        columns.scores += [row["score"] for row in rows]
    return columns


def _is_object(one: Any) -> bool:
    return isinstance(one, dict) and "class_id" in one and "box" in one and "score" in one


def _entry_of(entries: Sequence[tuple[str, int]], index: int) -> str:
    place, number = entries[index]
    return f"{place}[{number}]"


def _check_size(
    image: dict[str, Any], where: str, size: list[int], path: str, log: ProblemLog
) -> None:
    told = (image.get("height", size[0]), image.get("width", size[1]))
    if told != tuple(size):
        value = f"{told[1]!r} wide, {told[0]!r} high; the image is {size[1]} and {size[0]}"
        log.report(path, f"{where} ({image['file']})", SIZE_RULE, value)


def _challenge_columns(
    content: dict[str, Any],
    path: str,
    data: EvaluationSet,
    classes: dict[int, int],
    log: ProblemLog,
) -> _Columns:
    entries: list[tuple[str, int]] = []
    columns = _Columns(lambda i: _entry_of(entries, i), classes)
    numbers = ImageNames(data.file_names)
    seen: set[int] = set()
    for name, rows in content.items():
        number = _number(name, name, numbers, seen, path, log)
        if number is None:
            continue
        if not isinstance(rows, list):
            log.report(path, name, LIST_RULE, shown(rows))
            continue
        for i, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != 6:
                log.report(path, f"{name}[{i}]", ROW_RULE, shown(row))
                continue
            entries.append((name, i))
            columns.images.append(number)
            columns.categories.append(row[0])
            columns.boxes.append(row[1:5])
            columns.scores.append(row[5])
    return columns


def _number(
    file: str, where: str, names: ImageNames, seen: set[int], path: str, log: ProblemLog
) -> int | None:
    """Number of the image, None after reporting that it is unknown or occurs again."""
    number = names.find(file)
    if number is None:
        log.report(path, where, KNOWN_FILE, shown(file))
    elif number in seen:
        log.report(path, where, ONCE, f"{shown(file)} again")
        return None
    else:
        seen.add(number)
    return number


def _table(columns: _Columns) -> DetectionTable | None:
    """The detections where all is right with them, checked a column at a time; else None."""
    numbers = chain(columns.scores, columns.categories)
    try:
        if not set(map(type, columns.boxes)) <= {list}:
            return None
        if not set(map(type, chain(numbers, *columns.boxes))) <= {int, float}:
            return None
        boxes = np.array(columns.boxes, dtype=np.float64)
        scores = np.array(columns.scores, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    if len(boxes) and boxes.shape[1:] != (4,):
        return None
    boxes = boxes.reshape(-1, 4)
    categories = [columns.classes.get(one, -1) for one in columns.categories]
    if not columns.corners:
        if (boxes[:, 2:] < 0).any():
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # found below
            boxes[:, 2:] += boxes[:, :2]
    good = (
        -1 not in categories
        and np.isfinite(scores).all()
        and np.isfinite(boxes).all()
        and (boxes[:, 2:] >= boxes[:, :2]).all()
    )
    if not good:
        return None
    images = np.array(columns.images, dtype=np.int64)
    return DetectionTable(images, np.array(categories, dtype=np.int64), boxes, scores)


def _report_each(columns: _Columns, path: str, log: ProblemLog) -> None:
    """Reports each rule that a detection breaks, one by one."""
    rows = zip(columns.categories, columns.boxes, columns.scores, strict=True)
    for i, (category, box, score) in enumerate(rows):
        if not is_number(category) or category not in columns.classes:
            value = f"{shown(category)}; known are {shown(sorted(columns.classes))}"
            log.report(path, columns.where(i), KNOWN_CLASS, value)
        if not is_number(score) or not np.isfinite(to_float(score)):
            log.report(path, columns.where(i), SCORE_RULE, shown(score))
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            log.report(path, columns.where(i), BOX_RULE, shown(box))
            continue
        x, y, *end = map(to_float, box)
        sides = [end[0] - x, end[1] - y] if columns.corners else end
        if not np.isfinite([x, y, *sides, x + sides[0], y + sides[1]]).all():
            log.report(path, columns.where(i), FINITE_BOX, shown(box))
        elif min(sides) < 0:
            log.report(path, columns.where(i), NEGATIVE, shown(box))
