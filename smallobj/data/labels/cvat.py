"""CVAT XML 1.1 "for images": ``<box label xtl ytl xbr ybr>`` below an ``<image>``.

The score is the box's attribute ``score``, a crowd region has the attribute ``iscrowd``.
Source: https://docs.cvat.ai/docs/other/xml_format
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from smallobj.data.labels.listed_images import ListedImages, slashed
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, read_numbers, whole_size
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import rule
from smallobj.data.labels.safe_xml import read_xml
from smallobj.data.labels.spec import DatasetSpec

CORNERS = ("xtl", "ytl", "xbr", "ybr")
_ROOT_RULE = "the file must be CVAT XML for images, with the root element annotations"
_TRACK_RULE = 'the file must be of the kind "for images", without tracks'
_IMAGE_RULE = "an image must have a name and whole, positive width and height"
_SHAPE_RULE = rule("cvat-shape", "shapes other than boxes are not converted", dropped="shape")
_UPRIGHT_RULE = rule("cvat-rotated", "a box must not be rotated", dropped="box")
_BOX_RULE = "a box must have label, xtl, ytl, xbr and ybr"
_LABEL_RULE = "a label's name may be listed once"


def read_cvat(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, class_names: Sequence[str] = ()
) -> DatasetReading:
    """Labels or detections; classes are those of the file's list of labels, in its order.

    Args:
        spec: the dataset; its folder of images may be "".
        policy: what is done about broken rules.
        class_names: where they are known without a file.
    """
    reading = DatasetReading(policy=policy)
    classes = NamedClasses(spec, reading, class_names)
    found = read_xml(spec.annotations, reading)
    if found is None:
        return reading
    root, lines = found
    if root.tag != "annotations":
        reading.report(spec.annotations, "root element", _ROOT_RULE, shown(root.tag))
        return reading
    document = _Document(spec, reading, classes, lines)
    if classes.is_open:
        document.read_labels(root)
    for element in root:
        if element.tag == "track":
            where = f"line {lines[element]}"
            reading.report(spec.annotations, where, _TRACK_RULE, "a track")
        elif element.tag == "image":
            document.read_image(element)
    reading.records = document.images.readable()
    return reading


class _Document:
    def __init__(
        self,
        spec: DatasetSpec,
        reading: DatasetReading,
        classes: NamedClasses,
        lines: dict[Element, int],
    ) -> None:
        self._path = spec.annotations
        self._reading = reading
        self._classes = classes
        self._lines = lines
        self.images = ListedImages(spec.images, reading)

    def read_labels(self, root: Element) -> None:
        for label in root.iterfind("meta//labels/label"):
            name = label.findtext("name") or ""
            if name in self._classes:
                where = f"line {self._lines[label]}"
                self._reading.report(self._path, where, _LABEL_RULE, f"{shown(name)} again")
            elif name:
                self._classes.add(name)
                # A file with a list of labels may not use others; one without takes names as they
                # come.
                self._classes.is_open = False

    def read_image(self, element: Element) -> None:
        file = slashed(element.get("name", ""))
        size = whole_size(element.get("width"), element.get("height"))
        place = (self._path, f"line {self._lines[element]} (image {file})")
        if not file or size is None:
            self._reading.report(*place, _IMAGE_RULE, shown(element.attrib))
            return
        record = self.images.add(file, size, place)
        if record is None:
            return
        for shape in element:
            place = (self._path, f"line {self._lines[shape]} (image {file})")
            if shape.tag != "box":
                self._reading.report(*place, _SHAPE_RULE, f"<{shape.tag}>")
            elif shape.get("rotation") and _degrees(shape.get("rotation", "")) != 0:
                value = f"rotation {shown(shape.get('rotation'))}"
                self._reading.report(*place, _UPRIGHT_RULE, value)
            elif any(shape.get(key) is None for key in ("label", *CORNERS)):
                self._reading.report(*place, _BOX_RULE, shown(shape.attrib))
            else:
                self._read_box(shape, record, place)

    def _read_box(self, shape: Element, record: dict[str, Any], place: tuple[str, str]) -> None:
        attributes = {
            attribute.get("name"): (attribute.text or "").strip()
            for attribute in shape.iter("attribute")
        }
        add_object(
            self._reading,
            record,
            place,
            self._classes.index(shape.attrib["label"], place),
            read_numbers(self._reading, place, [shape.attrib[key] for key in CORNERS]),
            # An empty score is the default of the attribute that the writer declares.
            score=attributes.get("score") or None,
            crowd=attributes.get("iscrowd", "").lower() in ("true", "1"),
        )


def _degrees(text: str) -> float:
    try:
        # A full turn is none.
        return float(text) % 360
    except ValueError:
        # Differs from 0, so a text that is no number is reported as a rotation.
        return float("nan")
