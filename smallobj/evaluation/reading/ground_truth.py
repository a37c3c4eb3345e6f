"""The labels of a registered dataset, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog
from pycocotools import mask as mask_util

from smallobj.data.object_mask import segmentation_rle
from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.masks import Rle


@dataclass(frozen=True)
class ImageLabels:
    """The labels of one image with N objects.

    Attributes:
        image_id: as in the dataset dict, an int or a string.
        size: (h, w) of the image in pixels.
        boxes: (N, 4) float64, XYXY in pixels.
        categories: (N,) int64, contiguous from 0.
        crowd: (N,) bool, regions that stand for many objects.
        areas: (N,) float64, px²: the label's own "area" where it has one, else the mask's if masks
            were asked for, else the box's.
        masks: N run-length masks, where they were asked for.
    """

    image_id: int | str
    size: tuple[int, int]
    boxes: np.ndarray
    categories: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    masks: list[Rle] | None = None


def read_ground_truth(dataset_name: str, with_masks: bool = False) -> list[ImageLabels] | None:
    """Labels of each image, in the dataset's order; None where no image is labelled at all.

    An image with an empty list of annotations is labelled (as holding nothing).

    Raises:
        ValueError: masks are asked for, and a label has none.
    """
    dicts = DatasetCatalog.get(dataset_name)
    if not any("annotations" in record for record in dicts):
        return None
    return [image_labels(record, with_masks) for record in dicts]


def image_labels(record: dict[str, Any], with_masks: bool = False) -> ImageLabels:
    """The labels of one Detectron2 dataset dict.

    Raises:
        ValueError: masks are asked for, and a label has none.
    """
    labels = record.get("annotations", [])
    boxes = annotation_boxes(labels)
    sides = boxes[:, 2:] - boxes[:, :2]
    masks = _masks(record, labels) if with_masks else None
    measured = sides.prod(axis=1) if masks is None else [mask_util.area(mask) for mask in masks]
    own_areas = [a.get("area") for a in labels]
    areas = [b if a is None else a for a, b in zip(own_areas, measured, strict=True)]
    return ImageLabels(
        image_id=record["image_id"],
        size=(record["height"], record["width"]),
        boxes=boxes,
        categories=np.array([a["category_id"] for a in labels], dtype=np.int64),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in labels], dtype=bool),
        areas=np.array(areas, dtype=np.float64),
        masks=masks,
    )


def _masks(record: dict[str, Any], labels: list[dict[str, Any]]) -> list[Rle]:
    size = (record["height"], record["width"])
    masks = []
    for label in labels:
        if not label.get("segmentation"):
            raise ValueError(
                f"{record['file_name']}: the metric coco_masks needs a mask of every label; the "
                f"one at {label['bbox']} has none"
            )
        masks.append(segmentation_rle(label["segmentation"], size))
    return masks
