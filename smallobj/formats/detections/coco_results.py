"""COCO results: ``[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}, ...]``.

Their ids are those of a COCO annotation file. Where masks are found, each result has one, too:
"segmentation", COCO's run-length code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from smallobj.data.labels.listed_images import ListedImage
from smallobj.data.labels.objects import add_object, read_numbers
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.problems import Problem, shown
from smallobj.data.labels.readers import read_labels
from smallobj.data.labels.reading import DatasetReading, read_json
from smallobj.data.labels.rules import KNOWN_CLASS, is_number, rule
from smallobj.data.object_mask import segmentation_rle
from smallobj.formats.box_set import BoxSet
from smallobj.formats.coco import category_ids, xywh
from smallobj.formats.dataset_boxes import box_set, name_below
from smallobj.formats.detections.result_columns import ResultColumns
from smallobj.formats.detections.result_kinds import COCO, look_into
from smallobj.formats.detections.result_matching import (
    RESULT_RULE,
    KnownSet,
    coco_columns,
    doubtful,
)
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, write_file
from smallobj.geometry.masks import Rle

_FILE_RULE = "the file must be a JSON list of results"
_BOX_RULE = rule("result-box", "bbox must be a list of four numbers, x, y, w, h", dropped="result")


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
    truth = replace(source, path=source.coco_images)
    reading = read_labels(truth.dataset("coco"), source.policy)
    known = _known_set(reading, source.images)
    for record in reading.records:
        # The annotation file's own boxes are labels; only its images and ids are wanted.
        record["annotations"] = []
    content = read_json(source.path, reading)
    results = None if content is None else look_into(content, source.path, reading)
    if results is not None and results.kind != COCO:
        reading.report(source.path, "whole file", _FILE_RULE, shown(content))
    elif results is not None:
        found = coco_columns(results, source.path, known, source.results, reading)
        _add_all(found, source.path, known, reading)
    return box_set(reading, source.images, category_ids(reading)), reading.problems


def _known_set(reading: DatasetReading, folder: str) -> KnownSet:
    images = reading.records
    sizes = [(image["height"], image["width"]) for image in images]
    return KnownSet(
        [image["image_id"] for image in images],
        [name_below(image["file_name"], folder) for image in images],
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        reading.class_names,
        reading.class_ids,
    )


def _add_all(found: ResultColumns, path: str, known: KnownSet, reading: DatasetReading) -> None:
    """Takes all boxes, or reports the rules that they break."""
    hint = doubtful(found, known.sizes)
    if hint is not None:
        reading.report(path, "whole file", *hint)
        return
    rows = zip(found.images, found.categories, found.boxes, found.scores, strict=True)
    for i, (number, category, box, score) in enumerate(rows):
        place = (path, found.where(i))
        index = found.classes.get(category) if is_number(category) else None
        if index is None:
            value = f"{shown(category)}; known are {shown(sorted(found.classes))}"
            reading.report(*place, KNOWN_CLASS, value)
        if score is None:
            reading.report(*place, RESULT_RULE, f"score {shown(score)}")
            continue
        if not isinstance(box, list) or len(box) != 4:
            reading.report(*place, _BOX_RULE, shown(box))
            continue
        numbers = read_numbers(reading, place, box)
        outline = None
        if numbers is not None:
            x, y, w, h = numbers
            outline = Outline((x, y, x + w, y + h))
        image = ListedImage(reading.records[number])
        add_object(reading, image, place, index, outline, score=score)


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
        columns = (xywh(image), image.classes.tolist(), image.score_list, image.masks)
        for box, index, score, mask in zip(*columns, strict=True):
            image_id = _known(file_ids, image.file, "image", target)
            category_id = _known(class_ids, boxes.class_names[index], "class", target)
            code = None
            if mask is not None and image.size is not None:
                code = segmentation_rle(mask, image.size)
            results.append(coco_result(image_id, category_id, box, score, code))
    write_file(target, target.path, json.dumps(results))


def _result_ids(boxes: BoxSet, target: Target) -> tuple[dict[str, int], dict[str, int]]:
    """Ids by image file, and by class name."""
    if target.coco_images:
        known = Source(target.coco_images, target.images)
        reading = read_labels(known.dataset("coco"))
        if reading.problems:
            raise ValueError("\n".join(map(str, reading.problems)))
        boxes = box_set(reading, known.images, category_ids(reading))
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
