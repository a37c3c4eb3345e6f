"""COCO results: ``[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}, ...]``.

Their ids are those of a COCO annotation file. Where masks are found, each result has one, too:
"segmentation", COCO's run-length code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

from smallobj.data.labels.problems import Problem, ProblemLog, shown
from smallobj.data.labels.reading import read_json
from smallobj.data.labels.rules import KNOWN_CLASS, rule
from smallobj.formats.box_reading import BoxReading, Source
from smallobj.formats.box_set import BoxSet
from smallobj.formats.coco import category_ids, read_dataset, xywh
from smallobj.formats.result_columns import ResultColumns
from smallobj.formats.targets import Target, write_file
from smallobj.geometry.masks import Rle

KEYS = ("image_id", "category_id", "bbox", "score")
RESULT_RULE = rule(
    "result",
    "a result must be an object with image_id, category_id, bbox and score",
    dropped="result",
)
_FILE_RULE = "the file must be a JSON list of results"
_BOX_RULE = rule("result-box", "bbox must be a list of four numbers, x, y, w, h", dropped="result")
_KNOWN_IMAGE = rule(
    "result-of-unknown-image", "image_id must be the id of an image", dropped="result"
)
_KNOWN_IN_SET = "image_id must be the id of an image of the data set"


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Detections; images without any are those of the annotation file.

    Raises:
        ValueError: no annotation file is named.
    """
    if not source.coco_images:
        raise ValueError(
            f"{source.path}: COCO results hold ids alone; name the COCO annotation file that "
            "says which images and categories they are (--coco-images)"
        )
    reading = read_dataset(source.coco_images, source.images, source.policy)
    files = {image.image_id: file for file, image in reading.boxes.items()}
    for image in reading.boxes.values():
        # The annotation file's own boxes are labels; only its images and ids are wanted.
        image.rows.clear()
    content = read_json(source.path, reading)
    if content is not None and not isinstance(content, list):
        reading.report(source.path, "whole file", _FILE_RULE, shown(content))
        content = None
    for number, entry in enumerate(content or []):
        _add_result(entry, (source.path, f"[{number}]"), files, reading)
    return reading.box_set(category_ids(reading)), reading.problems


def _add_result(
    entry: Any, place: tuple[str, str], files: dict[int | None, str], reading: BoxReading
) -> None:
    if not isinstance(entry, dict) or any(entry.get(key) is None for key in KEYS):
        reading.report(*place, RESULT_RULE, shown(entry))
        return
    identity, category, box = entry["image_id"], entry["category_id"], entry["bbox"]
    if not isinstance(identity, int) or identity not in files:
        reading.report(*place, _KNOWN_IMAGE, shown(identity))
        return
    index = reading.class_ids.get(category) if isinstance(category, int) else None
    if index is None:
        value = f"{shown(category)}; known are {shown(sorted(reading.class_ids))}"
        reading.report(*place, KNOWN_CLASS, value)
    if not isinstance(box, list) or len(box) != 4:
        reading.report(*place, _BOX_RULE, shown(box))
        return
    numbers = reading.numbers(*place, box)
    corners = None
    if numbers is not None:
        x, y, w, h = numbers
        corners = (x, y, x + w, y + h)
    reading.add(files[identity], index, corners, entry["score"], place=place)


def columns(
    rows: list[Any],
    path: str,
    numbers: dict[int | str, int],
    classes: dict[int, int],
    log: ProblemLog,
) -> ResultColumns:
    """The results of a data set as columns.

    Args:
        rows: content of a file.
        path: the file.
        numbers: of the data set's images, by id.
        classes: the data set's class by category id.
        log: takes what is wrong with the file.
    """
    # All at once first: files have millions of results, and most are without a mistake. Only if
    # something is wrong each result is looked at, to name it.
    kept = list(range(len(rows)))
    try:
        ids = [row["image_id"] for row in rows]
        fields = [[row[key] for row in rows] for key in KEYS[1:]]
        images = [numbers.get(image_id, -1) for image_id in ids]
        # true and 1.0 would find image 1 in the dict, too, so the types are looked at.
        is_good = -1 not in images and set(map(type, ids)) <= {int, str}
    except (KeyError, TypeError):
        is_good = False
    if not is_good:
        kept = [i for i, row in enumerate(rows) if _is_known(row, i, numbers, path, log)]
        images = [numbers[rows[i]["image_id"]] for i in kept]
        fields = [[rows[i][key] for i in kept] for key in KEYS[1:]]
    return ResultColumns(lambda i: f"[{kept[i]}]", classes, False, images, *fields)


def _is_known(
    row: Any, place: int, numbers: dict[int | str, int], path: str, log: ProblemLog
) -> bool:
    if not isinstance(row, dict) or not all(key in row for key in KEYS):
        log.report(path, f"[{place}]", RESULT_RULE, shown(row))
        return False
    image_id = row["image_id"]
    # type, not isinstance, and before the look-up: true is an int, and a list cannot be looked up.
    if type(image_id) not in (int, str) or image_id not in numbers:
        log.report(path, f"[{place}]", _KNOWN_IN_SET, shown(image_id))
        return False
    return True


def coco_result(
    image_id: int | str,
    category_id: int,
    bbox: Sequence[float],
    score: float | None,
    mask: Rle | None = None,
) -> dict[str, Any]:
    """One result, as all writers of this project make it.

    Args:
        image_id, category_id: of the annotation file.
        bbox: (x, y, w, h) in pixels.
        score: of the detection.
        mask: its run-length code.
    """
    result: dict[str, Any] = {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": bbox,
        "score": score,
    }
    if mask is not None:
        result["segmentation"] = mask
    return result


class CocoResultsWriter:
    """Writes a file some results at a time: any number of them fits."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encode = json.JSONEncoder(ensure_ascii=False).encode
        self._separator = ""
        stream.write("[")

    def write(self, results: list[dict[str, Any]]) -> None:
        """Appends results."""
        if results:
            # As a list, since each call of the encoder takes as long as a result.
            self._stream.write(self._separator + self._encode(results)[1:-1])
            self._separator = ", "

    def close(self) -> None:
        """Writes the end; the stream stays open."""
        self._stream.write("]\n")


def write(boxes: BoxSet, target: Target) -> None:
    """Writes detections with the ids of ``target.coco_images``, else those that they came with.

    Raises:
        ValueError: labels were given, or a file or class has no id.
    """
    if not boxes.has_scores and any(len(image) for image in boxes.images):
        raise ValueError("COCO results need scores; got labels, which the format coco holds")
    file_ids, class_ids = _result_ids(boxes, target)
    results = []
    for image in boxes.images:
        rows = zip(xywh(image), image.classes.tolist(), image.score_list, strict=True)
        for box, index, score in rows:
            image_id = _known(file_ids, image.file, "image", target)
            category_id = _known(class_ids, boxes.class_names[index], "class", target)
            results.append(coco_result(image_id, category_id, box, score))
    write_file(target, target.path, json.dumps(results))


def _result_ids(boxes: BoxSet, target: Target) -> tuple[dict[str, int], dict[str, int]]:
    """Ids by image file, and by class name."""
    if target.coco_images:
        reading = read_dataset(target.coco_images, target.images)
        if reading.problems:
            raise ValueError("\n".join(map(str, reading.problems)))
        boxes = reading.box_set(category_ids(reading))
    ids = {image.file: image.image_id for image in boxes.images if image.image_id is not None}
    if len(ids) < len(boxes.images) or (boxes.images and not boxes.category_ids):
        raise ValueError(
            "COCO results name images and categories by the ids of a COCO annotation file; "
            "got none (--coco-images)"
        )
    # Not strict where there are no ids: a set without images needs none.
    return ids, dict(zip(boxes.class_names, boxes.category_ids, strict=bool(boxes.category_ids)))


def _known(ids: dict[str, int], name: str, what: str, target: Target) -> int:
    if name not in ids:
        raise ValueError(f"{target.coco_images}: there is no {what} {name!r}")
    return ids[name]
