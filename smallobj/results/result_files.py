"""Detections as JSON, CSV and COCO results, written image by image for any number of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import numpy as np
from detectron2.structures import Instances

from smallobj.formats import csv_table
from smallobj.formats.class_list import ClassList
from smallobj.formats.detections.coco_results import CocoResultsWriter, coco_result
from smallobj.formats.detections.own_results import OwnResultsWriter, image_entry, own_detection
from smallobj.geometry.masks import Rle, mask_rles
from smallobj.whole_file import list_beside, whole_text


@dataclasses.dataclass(frozen=True)
class ImageResult:
    """The detections in one image; boxes are (N, 4) float32 XYXY in its pixels.

    ``masks`` are N run-length encoded masks, or None if the model gives none.
    """

    file: str
    image_id: int
    height: int
    width: int
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: list[Rle] | None = None

    @classmethod
    def from_instances(cls, file: str, image_id: int, instances: Instances) -> ImageResult:
        """Converts Instances on the CPU, in the image's pixels; rounds them as they are written."""
        height, width = instances.image_size
        boxes = instances.pred_boxes.tensor.numpy().round(2)
        scores, classes = instances.scores.numpy().round(4), instances.pred_classes.numpy()
        masks = mask_rles(instances.pred_masks) if instances.has("pred_masks") else None
        return cls(file, image_id, height, width, boxes, scores, classes, masks)

    @classmethod
    def from_entry(cls, entry: dict[str, Any], image_id: int) -> ImageResult:
        """Inverse of :meth:`entry`, without loss."""
        detections = entry["detections"]
        return cls(
            entry["file"],
            image_id,
            entry["height"],
            entry["width"],
            np.array([detection["box"] for detection in detections], np.float32).reshape(-1, 4),
            np.array([detection["score"] for detection in detections], np.float32),
            np.array([detection["class_id"] for detection in detections], np.int64),
            [detection["mask"] for detection in detections]
            if detections and "mask" in detections[0]
            else None,
        )

    def entry(self, class_names: Sequence[str]) -> dict[str, Any]:
        """The image's entry in JSON results."""
        return image_entry(self.file, self.height, self.width, self.detections(class_names))

    def detections(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """The image's detections in JSON results."""
        return [
            own_detection(class_names[index], index, _short(score), list(map(_short, box)), mask)
            for box, score, index, mask in self._each()
        ]

    def rows(self, class_names: Sequence[str]) -> list[csv_table.Row]:
        """Rows of the CSV table: (file, class id, class name, score, x1, y1, x2, y2)."""
        return [
            (
                *(self.file, index, class_names[index], _short(score)),
                *(_short(x1), _short(y1), _short(x2), _short(y2)),
            )
            for (x1, y1, x2, y2), score, index, _ in self._each()
        ]

    def coco(self, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """The image's detections in COCO results."""
        return [
            coco_result(
                self.image_id,
                category_ids[index],
                [_short(x1), _short(y1), _short(x2 - x1), _short(y2 - y1)],
                _short(score),
                mask,
            )
            for (x1, y1, x2, y2), score, index, mask in self._each()
        ]

    def blocks(self, size: int = 4096) -> Iterator[ImageResult]:
        """Yields the result in blocks of up to ``size`` detections; a single empty one if none."""
        for start in range(0, max(len(self.boxes), 1), size):
            part = slice(start, start + size)
            yield dataclasses.replace(
                self,
                boxes=self.boxes[part],
                scores=self.scores[part],
                classes=self.classes[part],
                masks=self.masks[part] if self.masks is not None else None,
            )

    def _each(self) -> zip[tuple[Any, Any, int, Rle | None]]:
        masks = [None] * len(self.boxes) if self.masks is None else self.masks
        return zip(self.boxes, self.scores, self.classes.tolist(), masks, strict=True)


def _short(value: float) -> float:
    # float32 would print as 0.8999999761581421.
    return round(float(value), 4)


class ResultFiles(ExitStack):
    """Up to three results files, which appear only if the ``with`` block ends without an error.

    with ResultFiles(names, ids, json_file="found.json") as files:
        files.add(detections)
    """

    def __init__(
        self,
        class_names: Sequence[str],
        category_ids: Sequence[int],
        json_file: str | None = None,
        csv_file: str | None = None,
        coco_file: str | None = None,
    ) -> None:
        """
        Args:
            class_names, category_ids: names, and ids in COCO results, by class index.
            json_file, csv_file, coco_file: the files to write; None for no file. The list of
                classes is written beside a CSV, which names only those that occur.
        """
        super().__init__()
        self.class_names = list(class_names)
        self.category_ids = list(category_ids)
        self._names = (json_file, csv_file, coco_file)

    def __enter__(self) -> ResultFiles:
        super().__enter__()
        json_file, csv_file, coco_file = self._names
        self._json = self._csv = self._coco = None
        if json_file:
            self._json = self.enter_context(_own_results(json_file, self.class_names))
        if csv_file:
            classes = ClassList(self.class_names, self.category_ids)
            self.enter_context(whole_text(list_beside(csv_file))).write(classes.text())
            self._csv = csv_table.TableWriter(self.enter_context(whole_text(csv_file)))
        if coco_file:
            self._coco = self.enter_context(_coco_results(coco_file))
        return self

    def add(self, image: ImageResult) -> None:
        """Appends an image to each file."""
        # In blocks, as a million detections of a map would take gigabytes as Python objects.
        if self._json:
            blocks = (block.detections(self.class_names) for block in image.blocks())
            detections = chain.from_iterable(blocks)
            self._json.add(image.file, image.height, image.width, detections)
        for block in image.blocks():
            if self._csv:
                self._csv.write(block.rows(self.class_names))
            if self._coco:
                self._coco.write(block.coco(self.category_ids))


@contextmanager
def _own_results(path: str, class_names: Sequence[str]) -> Iterator[OwnResultsWriter]:
    with whole_text(path) as stream:
        writer = OwnResultsWriter(stream, class_names)
        yield writer
        writer.close()


@contextmanager
def _coco_results(path: str) -> Iterator[CocoResultsWriter]:
    with whole_text(path) as stream:
        writer = CocoResultsWriter(stream)
        yield writer
        writer.close()
