"""CVAT XML 1.1 "for images": ``<box label xtl ytl xbr ybr>`` below an ``<image>``.

The score is the box's attribute ``score``, a crowd region has the attribute ``iscrowd``.
Source: https://docs.cvat.ai/docs/other/xml_format
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from smallobj.data.labels.problems import Problem, shown
from smallobj.data.labels.rules import rule
from smallobj.data.labels.safe_xml import read_xml
from smallobj.formats.box_reading import BoxReading, Source, slashed, whole_size
from smallobj.formats.box_set import BoxSet, ImageBoxes, short
from smallobj.formats.targets import Target, write_file

_ROOT_RULE = "the file must be CVAT XML for images, with the root element annotations"
_TRACK_RULE = 'the file must be of the kind "for images", without tracks'
_IMAGE_RULE = "an image must have a name and whole, positive width and height"
_SHAPE_RULE = rule("cvat-shape", "shapes other than boxes are not converted", dropped="shape")
_UPRIGHT_RULE = rule("cvat-rotated", "a box must not be rotated", dropped="box")
_BOX_RULE = "a box must have label, xtl, ytl, xbr and ybr"
_LABEL_RULE = "a label's name may be listed once"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
# All but the characters of XML 1.0, section 2.2. ElementTree writes these without an error, and no
# parser reads the file then.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(source: Source) -> tuple[BoxSet, list[Problem]]:
    """Labels or detections; classes are those of the file's list of labels, in its order."""
    reading = BoxReading(policy=source.policy)
    reading.read_classes(source)
    found = read_xml(source.path, reading)
    if found is None:
        return reading.box_set(), reading.problems
    root, lines = found
    if root.tag != "annotations":
        reading.report(source.path, "root element", _ROOT_RULE, shown(root.tag))
        return reading.box_set(), reading.problems
    if reading.open_classes:
        _read_labels(root, lines, source.path, reading)
    for element in root:
        where = f"line {lines[element]}"
        if element.tag == "track":
            reading.report(source.path, where, _TRACK_RULE, "a track")
        elif element.tag == "image":
            _read_image(element, lines, source, reading)
    return reading.box_set(), reading.problems


def _read_labels(root: Element, lines: dict[Element, int], path: str, reading: BoxReading) -> None:
    for label in root.iterfind("meta//labels/label"):
        name = label.findtext("name") or ""
        if name in reading.class_names:
            reading.report(path, f"line {lines[label]}", _LABEL_RULE, f"{shown(name)} again")
        elif name:
            reading.class_names.append(name)
            # A file with a list of labels may not use others; one without takes names as they come.
            reading.open_classes = False


def _read_image(
    element: Element, lines: dict[Element, int], source: Source, reading: BoxReading
) -> None:
    file = slashed(element.get("name", ""))
    size = whole_size(element.get("width"), element.get("height"))
    place = (source.path, f"line {lines[element]} (image {file})")
    if not file or size is None:
        reading.report(*place, _IMAGE_RULE, shown(element.attrib))
        return
    if not reading.new_image(file, size, place, source.images):
        return
    for shape in element:
        place = (source.path, f"line {lines[shape]} (image {file})")
        if shape.tag != "box":
            reading.report(*place, _SHAPE_RULE, f"<{shape.tag}>")
        elif shape.get("rotation") and _degrees(shape.get("rotation", "")) != 0:
            value = f"rotation {shown(shape.get('rotation'))}"
            reading.report(*place, _UPRIGHT_RULE, value)
        else:
            _read_box(shape, file, place, reading)


def _degrees(text: str) -> float:
    try:
        # A full turn is none.
        return float(text) % 360
    except ValueError:
        # Differs from 0, so a text that is no number is reported as a rotation.
        return float("nan")


def _read_box(shape: Element, file: str, place: tuple[str, str], reading: BoxReading) -> None:
    if any(shape.get(key) is None for key in ("label", *_CORNERS)):
        reading.report(*place, _BOX_RULE, shown(shape.attrib))
        return
    attributes = {
        attribute.get("name"): (attribute.text or "").strip()
        for attribute in shape.iter("attribute")
    }
    reading.add(
        file,
        reading.named(shape.attrib["label"], *place),
        reading.numbers(*place, [shape.attrib[key] for key in _CORNERS]),
        # An empty score is the default of the attribute that ``write`` declares.
        attributes.get("score") or None,
        place=place,
        crowd=attributes.get("iscrowd", "").lower() in ("true", "1"),
    )


def write(boxes: BoxSet, target: Target) -> None:
    """Writes one file that CVAT's upload of annotations takes.

    Raises:
        ValueError: the size of an image is unknown, or XML cannot hold a name.
    """
    for name in (*boxes.class_names, *(image.file for image in boxes.images)):
        if _NOT_IN_XML.search(name):
            raise ValueError(f"{name!r}: XML cannot hold a character of this name")
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    SubElement(task, "size").text = str(len(boxes.images))
    SubElement(task, "mode").text = "annotation"
    labels = SubElement(task, "labels")
    used = {"score": boxes.has_scores, "iscrowd": any(any(image.crowds) for image in boxes.images)}
    for name in boxes.class_names:
        _add_label(labels, name, [key for key, is_used in used.items() if is_used])
    for number, image in enumerate(boxes.images):
        _add_image(root, number, image, boxes.class_names)
    indent(root)
    # tostring with "unicode" writes no declaration.
    text = '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode")
    write_file(target, target.path, text + "\n")


def _add_label(labels: Element, name: str, keys: list[str]) -> None:
    label = SubElement(labels, "label")
    SubElement(label, "name").text = name
    SubElement(label, "type").text = "rectangle"
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
    rows = zip(
        image.boxes.tolist(), image.classes.tolist(), image.score_list, image.crowds, strict=True
    )
    for corners, index, score, crowd in rows:
        places = {key: str(short(value)) for key, value in zip(_CORNERS, corners, strict=True)}
        source = "manual" if score is None else "auto"
        fixed = {"label": names[index], "source": source, "occluded": "0"}
        box = SubElement(element, "box", {**fixed, **places, "z_order": "0"})
        if score is not None:
            # repr reads back as the same float; ``short`` would make equal scores of close ones.
            SubElement(box, "attribute", name="score").text = repr(score)
        if crowd:
            SubElement(box, "attribute", name="iscrowd").text = "true"
