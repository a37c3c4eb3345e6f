"""The labels of a registered dataset, as an EvaluationSet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from pycocotools import mask as mask_util

from smallobj.data.object_mask import segmentation_rle
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.masks import Rle


def read_ground_truth(dataset_name: str, with_masks: bool = False) -> EvaluationSet | None:
    """Labels of all images, in the dataset's order; None where no image is labelled at all.

    An image with an empty list of annotations is labelled (as holding nothing).

    Raises:
        ValueError: masks are asked for, and a label has none.
    """
    records = DatasetCatalog.get(dataset_name)
    if not any("annotations" in record for record in records):
        return None
    class_names = MetadataCatalog.get(dataset_name).get("thing_classes", ())
    return labelled_set(records, class_names, with_masks)


def labelled_set(
    records: Sequence[dict[str, Any]], class_names: Sequence[str], with_masks: bool = False
) -> EvaluationSet:
    """The labels of Detectron2 dataset dicts, without detections.

    Args:
        records: one an image.
        class_names: K names.
        with_masks: take the labels' masks, too; areas are then the masks'.

    Raises:
        ValueError: masks are asked for, and a label has none.
    """
    labels = [_image_labels(record, with_masks) for record in records]
    sizes = [(record["height"], record["width"]) for record in records]
    return EvaluationSet(
        image_ids=[record["image_id"] for record in records],
        file_names=[record.get("file_name", str(record["image_id"])) for record in records],
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        class_names=list(class_names),
        labels=LabelTable.from_images(dict(enumerate(labels))),
        detections=DetectionTable.empty(),
    )


def _image_labels(record: dict[str, Any], with_masks: bool) -> LabelTable:
    annotations = record.get("annotations", [])
    boxes = annotation_boxes(annotations)
    sides = boxes[:, 2:] - boxes[:, :2]
    masks = _masks(record, annotations) if with_masks else None
    measured = sides.prod(axis=1) if masks is None else [mask_util.area(mask) for mask in masks]
    own_areas = [annotation.get("area") for annotation in annotations]
    # A label's own area comes first, as in pycocotools: it decides about its size range.
    areas = [b if a is None else a for a, b in zip(own_areas, measured, strict=True)]
    return LabelTable.single_image(
        boxes,
        np.array([annotation["category_id"] for annotation in annotations], dtype=np.int64),
        areas=np.array(areas, dtype=np.float64),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool),
        masks=masks,
    )


def _masks(record: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> list[Rle]:
    size = (record["height"], record["width"])
    masks = []
    for annotation in annotations:
        if not annotation.get("segmentation"):
            raise ValueError(
                f"{record['file_name']}: the metric coco_masks needs a mask of every label; the "
                f"one at {annotation['bbox']} has none"
            )
        masks.append(segmentation_rle(annotation["segmentation"], size))
    return masks
