"""CVAT XML 1.1 "for images": ``<box label xtl ytl xbr ybr>`` below an ``<image>``.

The score is the box's attribute ``score``, a crowd region has the attribute ``iscrowd``.
Source: https://docs.cvat.ai/docs/other/xml_format
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from smallobj.data.labels.problems import Problem
from smallobj.data.labels.tools.cvat import read_cvat
from smallobj.data.labels.tools.cvat_shapes import CORNERS
from smallobj.formats.box_set import BoxSet, ImageBoxes, only_polygon, short, warn_of_masks
from smallobj.formats.dataset_boxes import converted
from smallobj.formats.source import Source
from smallobj.formats.targets import Target, write_file

# All but the characters of XML 1.0, section 2.2. ElementTree writes these without an error, and no
# parser reads the file then.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections; classes are those of the file's list of labels, in its order."""
    reading = read_cvat(source.dataset("cvat"), source.policy, source.class_names)
    return converted(reading, source)


def write(boxes: BoxSet, target: Target) -> None:
    """Writes one file that CVAT's upload of annotations takes.

    Raises:
        ValueError: the size of an image is unknown, or XML cannot hold a name.
    """
    for name in (*boxes.class_names, *(image.file for image in boxes.images)):
        if _NOT_IN_XML.search(name):
            raise ValueError(f"{name!r}: XML cannot hold a character of this name")
    warn_of_masks(boxes, "CVAT")
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    SubElement(task, "size").text = str(len(boxes.images))
    SubElement(task, "mode").text = "annotation"
    labels = SubElement(task, "labels")
    used = {"score": boxes.has_scores, "iscrowd": any(any(image.crowds) for image in boxes.images)}
    has_polygons = any(only_polygon(mask) for image in boxes.images for mask in image.masks)
    kind = "any" if has_polygons else "rectangle"
    for name in boxes.class_names:
        _add_label(labels, name, kind, [key for key, is_used in used.items() if is_used])
    for number, image in enumerate(boxes.images):
        _add_image(root, number, image, boxes.class_names)
    indent(root)
    # tostring with "unicode" writes no declaration.
    text = '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode")
    write_file(target, target.path, text + "\n")


def _add_label(labels: Element, name: str, kind: str, keys: list[str]) -> None:
    label = SubElement(labels, "label")
    SubElement(label, "name").text = name
    SubElement(label, "type").text = kind
    attributes = SubElement(label, "attributes")
    for key in keys:
        attribute = SubElement(attributes, "attribute")
        is_flag = key == "iscrowd"
        for tag, text in (
            ("name", key),
            ("mutable", "False"),
            # CVAT's own type "number" takes a range of whole steps.
            ("input_type", "checkbox" if is_flag else "text"),
            ("default_value", "false" if is_flag else ""),
            ("values", "false" if is_flag else ""),
        ):
            SubElement(attribute, tag).text = text


def _add_image(root: Element, number: int, image: ImageBoxes, names: Sequence[str]) -> None:
    height, width = image.needed_size("CVAT XML")
    element = SubElement(
        root, "image", id=str(number), name=image.file, width=str(width), height=str(height)
    )
    columns = (image.boxes.tolist(), image.classes.tolist(), image.score_list, image.crowds)
    for corners, index, score, crowd, mask in zip(*columns, image.masks, strict=True):
        tag = "box"
        places = {key: str(short(value)) for key, value in zip(CORNERS, corners, strict=True)}
        polygon = only_polygon(mask)
        if polygon is not None:
            tag = "polygon"
            points = zip(polygon[::2], polygon[1::2], strict=True)
            places = {"points": ";".join(f"{short(x)},{short(y)}" for x, y in points)}
        source = "manual" if score is None else "auto"
        fixed = {"label": names[index], "source": source, "occluded": "0"}
        shape = SubElement(element, tag, {**fixed, **places, "z_order": "0"})
        if score is not None:
            # repr reads back as the same float; ``short`` would make equal scores of close ones.
            SubElement(shape, "attribute", name="score").text = repr(score)
        if crowd:
            SubElement(shape, "attribute", name="iscrowd").text = "true"
