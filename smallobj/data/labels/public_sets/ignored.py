"""Regions in which nothing counts: crowd regions of every class.

COCO's crowd regions are of one class each; a detection of that class whose share inside one reaches
the IoU threshold is passed over in evaluation. Training leaves crowd regions out.
"""

from __future__ import annotations

from typing import Any

from smallobj.data.labels.listed_images import ListedImage
from smallobj.data.labels.objects import add_object
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, OBJECT_IGNORED


def add_ignored(
    reading: DatasetReading, image: ListedImage, place: tuple[str, str], outline: Outline
) -> None:
    """Adds a crowd region of every class, or reports once which rules it breaks."""
    annotations = image.record["annotations"]
    before = len(annotations)
    add_object(reading, image, place, 0 if reading.class_names else None, outline, crowd=True)
    for region in annotations[before:]:
        annotations[before:] = _of_every_class(region, len(reading.class_names))


def _of_every_class(region: dict[str, Any], number: int) -> list[dict[str, Any]]:
    return [{**region, "category_id": index, "iscrowd": 1} for index in range(number)]


def ignore_class(reading: DatasetReading, name: str) -> None:
    """Makes crowd regions of every other class of the objects of one class, if there is such."""
    if name not in reading.class_names:
        return
    gone = reading.class_names.index(name)
    ids = [identity for identity, index in reading.class_ids.items() if index != gone]
    reading.class_names.remove(name)
    reading.class_ids = {identity: index for index, identity in enumerate(ids)}
    for record in reading.records:
        kept = []
        for annotation in record["annotations"]:
            index = annotation["category_id"]
            if index != gone:
                kept.append({**annotation, "category_id": index - (index > gone)})
            elif reading.report(record["file_name"], "labels", OBJECT_IGNORED, shown(name)) == FIX:
                kept += _of_every_class(annotation, len(reading.class_names))
        record["annotations"] = kept
