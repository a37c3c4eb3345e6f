"""Detections from a results file of any of three kinds, checked against the data set they are for.

The kinds, detected by their content, are COCO results, this project's JSON (also as .jsonl, a
line an image) and the challenge's: see ``detections.coco_results``, ``own_results`` and
``challenge_results``.

A score may be any finite number, as in COCO; what needs probabilities has to ask for them. A box
may be empty or stick out of its image, which writers' rounding does; it can't be inside out.
"""

from __future__ import annotations

import logging
from itertools import chain

import numpy as np

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.problems import ProblemLog, ResultsError, shown
from smallobj.data.labels.reading import read_json
from smallobj.data.labels.rules import FINITE_BOX, KNOWN_CLASS, is_number, to_float
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.formats.detections import challenge_results, own_results
from smallobj.formats.detections.result_columns import ResultColumns
from smallobj.formats.detections.result_kinds import COCO, OWN, ResultsContent, look_into
from smallobj.formats.detections.result_matching import KnownSet, coco_columns, doubtful
from smallobj.formats.detections.results_options import ResultsOptions
from smallobj.formats.detections.unknown_images import NamedImages

_logger = logging.getLogger(__name__)

BOX_RULE = "a box must be a list of four numbers"
NEGATIVE = "a box must not have negative width or height"
SCORE_RULE = "a score must be a finite number"


def read_results(
    path: str,
    data: EvaluationSet,
    category_ids: dict[int, int] | None = None,
    options: ResultsOptions | None = None,
) -> DetectionTable:
    """The detections of a results file, ordered by image, else as they stand in the file.

    Args:
        path: the file.
        data: what they are for; its detections are not looked at. Images that the file leaves out
            have no detections.
        category_ids: class of ``data`` by category id of COCO results; None: they are the same.
        options: how the file is to be understood; None decides by what fits.

    Raises:
        ResultsError: all broken rules, each with file, entry and value.
    """
    options = options or ResultsOptions()
    log = ProblemLog(policy=Policy.of(options.rules))
    read = own_results.read_lines if path.endswith(".jsonl") else read_json
    content = read(path, log)
    results = None
    if content is not None and not log.problems:
        results = look_into(content, path, log)
    table = None
    if results is not None:
        classes = category_ids or {k: k for k in range(len(data.class_names))}
        columns = _columns(results, path, data, classes, options, log)
        if columns is not None:
            table = _checked(columns, path, data, log)
    if table is None or log.problems:
        raise ResultsError(log.problems)
    for line in log.changes.lines():
        _logger.warning("%s", line)
    if not len(table):
        _logger.warning("%s: there are no detections in it", path)
    # Stable: within an image the order of the file decides between equal scores.
    return table[np.argsort(table.images, kind="stable")]


def _columns(
    results: ResultsContent,
    path: str,
    data: EvaluationSet,
    category_ids: dict[int, int],
    options: ResultsOptions,
    log: ProblemLog,
) -> ResultColumns | None:
    if results.kind == COCO:
        known = KnownSet(
            data.image_ids, data.file_names, data.sizes, data.class_names, category_ids
        )
        return coco_columns(results, path, known, options, log)
    images = NamedImages(data.file_names, path, log)
    if results.kind == OWN:
        columns = own_results.columns(results.content, images, data.sizes, data.class_names)
    else:
        same = {k: k for k in range(len(data.class_names))}
        columns = challenge_results.columns(results.content, images, same)
    images.tell_unknown()
    return columns


def _checked(
    columns: ResultColumns, path: str, data: EvaluationSet, log: ProblemLog
) -> DetectionTable | None:
    """The detections, None after reporting the rules that they break."""
    # Columns are fast to check but don't say which entry is wrong; only a bad file needs that.
    table = _table(columns)
    if table is None:
        _report_each(columns, path, log)
        assert log.problems, "both ways of checking must agree"
        return None
    hint = doubtful(columns, data.sizes)
    if hint is not None:
        log.report(path, "whole file", *hint)
    return table


def _table(columns: ResultColumns) -> DetectionTable | None:
    """The detections where all is right with them, checked a column at a time; else None."""
    numbers = chain(columns.scores, columns.categories)
    try:
        if not set(map(type, columns.boxes)) <= {list}:
            return None
        # type, not isinstance: true and false are ints to Python, but no numbers in a file.
        if not set(map(type, chain(numbers, *columns.boxes))) <= {int, float}:
            return None
        boxes = np.array(columns.boxes, dtype=np.float64)
        scores = np.array(columns.scores, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    if len(boxes) and boxes.shape[1:] != (4,):
        return None
    # Without detections the array has no second axis.
    boxes = boxes.reshape(-1, 4)
    categories = [columns.classes.get(category, -1) for category in columns.categories]
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


def _report_each(columns: ResultColumns, path: str, log: ProblemLog) -> None:
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
