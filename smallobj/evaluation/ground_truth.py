"""The labels of a registered dataset, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog

from smallobj.boxes import annotation_boxes


@dataclass(frozen=True)
class ImageLabels:
    """The labels of one image with N objects.

    Attributes:
        image_id: as in the dataset dict, an int or a string.
        size: (h, w) of the image in pixels.
        boxes: (N, 4) float64, XYXY in pixels.
        categories: (N,) int64, contiguous from 0.
        crowd: (N,) bool, regions that stand for many objects.
        areas: (N,) float64, px²: the label's own "area" where it has one, else the box's.
    """

    image_id: int | str
    size: tuple[int, int]
    boxes: np.ndarray
    categories: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray


def read_ground_truth(dataset_name: str) -> list[ImageLabels] | None:
    """Labels of each image, in the dataset's order; None where no image is labelled at all.

    An image with an empty list of annotations is labelled (as holding nothing).
    """
    dicts = DatasetCatalog.get(dataset_name)
    if not any("annotations" in record for record in dicts):
        return None
    return [image_labels(record) for record in dicts]


def image_labels(record: dict[str, Any]) -> ImageLabels:
    """The labels of one Detectron2 dataset dict."""
    labels = record.get("annotations", [])
    boxes = annotation_boxes(labels)
    sides = boxes[:, 2:] - boxes[:, :2]
    own_areas = [a.get("area") for a in labels]
    areas = [b if a is None else a for a, b in zip(own_areas, sides.prod(axis=1), strict=True)]
    return ImageLabels(
        image_id=record["image_id"],
        size=(record["height"], record["width"]),
        boxes=boxes,
        categories=np.array([a["category_id"] for a in labels], dtype=np.int64),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in labels], dtype=bool),
        areas=np.array(areas, dtype=np.float64),
    )
