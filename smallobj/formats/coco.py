"""COCO JSON: annotations with their images and categories."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from smallobj.data.labels.problems import Problem
from smallobj.data.labels.readers import read_labels
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.object_mask import object_mask
from smallobj.formats.box_set import BoxSet, ImageBoxes, Segmentation, short
from smallobj.formats.dataset_boxes import box_set
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, write_file


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels, with the ids of their images and categories."""
    reading = read_labels(source.dataset("coco"), source.policy)
    return box_set(reading, source.images, category_ids(reading)), reading.problems


def category_ids(reading: DatasetReading) -> list[int]:
    """K ids in the file, by class; the first of those that were merged."""
    ids: dict[int, int] = {}
    for identity, index in reading.class_ids.items():
        ids.setdefault(index, identity)
    return [ids[index] for index in sorted(ids)]


def write(boxes: BoxSet, target: Target) -> None:
    """Writes labels; images and categories keep their ids where they came with some.

    Raises:
        ValueError: there are scores, or the size of an image is unknown.
    """
    if boxes.has_scores:
        raise ValueError(
            "COCO annotations hold no scores; write coco-results, or make labels of the "
            "detections (--drop-scores)"
        )
    image_ids = _image_ids(boxes)
    # From 1, as COCO's own files have it.
    class_ids = list(boxes.category_ids) or list(range(1, len(boxes.class_names) + 1))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, image_id in zip(boxes.images, image_ids, strict=True):
        height, width = image.needed_size("COCO JSON")
        images.append({"id": image_id, "file_name": image.file, "width": width, "height": height})
        rows = zip(xywh(image), image.classes, image.crowds, image.masks, strict=True)
        for box, index, crowd, mask in rows:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": class_ids[index],
                "bbox": box,
                "area": short(box[2] * box[3]),
                "iscrowd": int(crowd),
            }
            if mask is not None:
                # By COCO's rule the area is the mask's.
                annotation["area"] = short(object_mask(mask).area())
                annotation["segmentation"] = _written(mask)
            annotations.append(annotation)
    categories = [
        {"id": identity, "name": name}
        for identity, name in zip(class_ids, boxes.class_names, strict=True)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_file(target, target.path, json.dumps(content, ensure_ascii=False))


def _written(mask: Segmentation) -> Segmentation:
    """A mask with coordinates as they are written."""
    if isinstance(mask, dict):
        return mask
    return [[short(value) for value in polygon] for polygon in mask]


def with_image_ids(boxes: BoxSet, path: str) -> BoxSet:
    """The same with the image ids of a COCO file, if it has all images by their names.

    Args:
        boxes: of images named as in the file.
        path: the file, which is JSON.
    """
    with open(path, encoding="utf-8-sig") as file:
        entries = json.load(file).get("images", [])
    ids = {entry.get("file_name"): entry.get("id") for entry in entries if isinstance(entry, dict)}
    if not all(type(ids.get(image.file)) is int for image in boxes.images):
        return boxes
    images = [replace(image, image_id=ids[image.file]) for image in boxes.images]
    return replace(boxes, images=images)


def _image_ids(boxes: BoxSet) -> list[int]:
    ids = [image.image_id for image in boxes.images if image.image_id is not None]
    return ids if len(ids) == len(boxes.images) else list(range(1, len(boxes.images) + 1))


def xywh(image: ImageBoxes) -> list[list[float | int]]:
    """(x, y, w, h) of each box."""
    return [
        [short(x1), short(y1), short(x2 - x1), short(y2 - y1)]
        for x1, y1, x2, y2 in image.boxes.tolist()
    ]
