"""This project's JSON results as a format to convert: with sizes, names of all classes and scores.

A label is a detection whose score is null. ``category_ids`` beside ``classes`` holds COCO's ids.
"""

from __future__ import annotations

import io
from typing import Any

from smallobj.data.labels.image_list import list_images
from smallobj.data.labels.listed_images import (
    KNOWN_FILE,
    ListedImage,
    ListedImages,
    Listing,
    slashed,
)
from smallobj.data.labels.objects import add_object, read_numbers, whole_size
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.problems import Problem, shown
from smallobj.data.labels.reading import DatasetReading, read_json
from smallobj.data.labels.rules import FIX, KNOWN_CLASS
from smallobj.data.labels.segmentations import read_segmentation
from smallobj.data.object_mask import segmentation_rle
from smallobj.formats.box_set import BoxSet, short
from smallobj.formats.class_list import IDS_RULE, is_id_list
from smallobj.formats.dataset_boxes import converted
from smallobj.formats.detections import own_results
from smallobj.formats.detections.own_results import own_detection
from smallobj.formats.detections.result_kinds import OWN, look_into
from smallobj.formats.image_names import ImageNames
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, write_file

_FILE_RULE = "the file must be JSON as demo.py --json writes it"
_SIZE_RULE = "width and height must be whole and positive"
_BOX_RULE = "a box must be a list of four numbers"


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Detections or labels; with a folder of images, the images without an entry as well."""
    reading = DatasetReading(policy=source.policy)
    read_content = own_results.read_lines if source.path.endswith(".jsonl") else read_json
    content = read_content(source.path, reading)
    results = None if content is None else look_into(content, source.path, reading)
    if results is not None and results.kind != OWN:
        reading.report(source.path, "whole file", _FILE_RULE, f"{results.kind} results")
    elif results is not None and _take_classes(results.content, source.path, reading):
        _read_images(results.content["images"], source, reading)
    return converted(reading, source)


def _take_classes(content: dict[str, Any], path: str, reading: DatasetReading) -> bool:
    """Takes names and ids of the classes; False after reporting what is wrong with them."""
    names = content.get("classes", own_results.names_in(content["images"]))
    if isinstance(names, dict):  # lines, of which each names the classes that it has
        reading.class_ids = {identity: k for k, identity in enumerate(sorted(names))}
        reading.class_names = [names[identity] for identity in sorted(names)]
        return True
    ids = content.get("category_ids")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        reading.report(path, "classes", own_results.CLASSES_RULE, shown(names))
        return False
    if ids is not None and not is_id_list(ids, len(names)):
        reading.report(path, "category_ids", IDS_RULE, shown(ids))
        return False
    reading.class_names = list(names)
    reading.class_ids = {identity: k for k, identity in enumerate(ids or range(len(names)))}
    return True


def _read_images(entries: list[Any], source: Source, reading: DatasetReading) -> None:
    images = ListedImages(source.images, reading)
    files: list[str] = []
    if not reading.has_folder(source.images, "image folder"):
        return
    if source.images:
        files = list_images(source.images)
    known = ImageNames(files)
    listings = []
    for number, entry in enumerate(entries):
        place = (source.path, f"images[{number}]")
        if isinstance(entry, dict) and "error" in entry and "detections" not in entry:
            continue  # tools/detect.py could not read it
        if not isinstance(entry, dict) or not (
            isinstance(entry.get("file"), str) and isinstance(entry.get("detections"), list)
        ):
            reading.report(*place, own_results.IMAGE_RULE, shown(entry))
            continue
        name, size = slashed(entry["file"]), None
        if source.images:
            # Detection names images by the paths that it was given.
            found = known.find_exactly(entry["file"])
            if found is None:
                reading.report(*place, KNOWN_FILE, shown(entry["file"]))
                continue
            name = slashed(files[found])
        else:
            size = whole_size(entry.get("width"), entry.get("height"))
            if size is None:
                value = f"{shown(entry.get('width'))} and {shown(entry.get('height'))}"
                reading.report(*place, _SIZE_RULE, value)
                continue
        listings.append(Listing([name], size, place, entry["detections"]))
    for image, listing in images.add(listings):
        for i, detection in enumerate(listing.content):
            file, entry_name = listing.place
            _read_detection(detection, image, (file, f"{entry_name}.detections[{i}]"), reading)
    if source.images:
        images.add_others()
    images.finish(in_order_of_names=bool(source.images))


def _read_detection(
    one: Any, image: ListedImage, place: tuple[str, str], reading: DatasetReading
) -> None:
    if not isinstance(one, dict) or not {"class_id", "box", "score"} <= set(one):
        reading.report(*place, own_results.DETECTION_RULE, shown(one))
        return
    index, box = one["class_id"], one["box"]
    if type(index) is not int or not 0 <= index < len(reading.class_names):
        reading.report(*place, KNOWN_CLASS, shown(index))
        index = None
    if not isinstance(box, list) or len(box) != 4:
        reading.report(*place, _BOX_RULE, shown(box))
        return
    numbers = read_numbers(reading, place, box)
    outline = None
    if numbers is not None:
        x1, y1, x2, y2 = numbers
        outline = Outline((x1, y1, x2, y2))
    annotations = image.record["annotations"]
    count = len(annotations)
    add_object(reading, image, place, index, outline, score=one["score"])
    if one.get("mask") is None or len(annotations) == count or image.size is None:
        return
    mask, broken = read_segmentation(one["mask"], image.size)
    if broken is not None and reading.report(*place, *broken) != FIX:
        annotations.pop()
    elif mask:
        annotations[-1]["segmentation"] = mask


def write(boxes: BoxSet, target: Target) -> None:
    """Writes a file of all images.

    Raises:
        ValueError: the size of an image is unknown, or there are crowd regions.
    """
    text = io.StringIO()
    writer = own_results.OwnResultsWriter(text, boxes.class_names, boxes.category_ids)
    for image in boxes.images:
        height, width = image.needed_size("JSON")
        if any(image.crowds):
            raise ValueError(
                f"{image.file}: JSON results have no crowd regions, which would become objects "
                "(--drop-crowd leaves them out)"
            )
        columns = (image.boxes.tolist(), image.classes.tolist(), image.score_list, image.masks)
        found = [
            own_detection(
                boxes.class_names[index],
                index,
                score,
                list(map(short, corners)),
                None if mask is None else segmentation_rle(mask, (height, width)),
            )
            for corners, index, score, mask in zip(*columns, strict=True)
        ]
        writer.add(image.file, height, width, found)
    writer.close()
    write_file(target, target.path, text.getvalue())
