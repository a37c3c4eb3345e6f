"""Pascal VOC: an XML file an image, an ``object`` with a ``bndbox`` each.

VOC's own files count pixels from 1 and name the last pixel of a box; most tools write the edges of
the box counted from 0. Source: the development kit of VOC 2012, section 4.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from smallobj.data.labels.label_files import (
    PARTNER_RULE,
    ImagesByName,
    folders_exist,
    list_label_files,
    stem,
)
from smallobj.data.labels.listed_images import ListedImages, Listing, slashed
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, whole_size
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.public_sets.voc_objects import VocObject, moved_to_zero, read_objects
from smallobj.data.labels.reading import DatasetReading, read_text
from smallobj.data.labels.rules import FIX, OBJECT_DIFFICULT, rule
from smallobj.data.labels.safe_xml import read_xml
from smallobj.data.labels.spec import DatasetSpec

_ROOT_RULE = "the file must be Pascal VOC XML, with the root element annotation"
_FILENAME_RULE = rule(
    "voc-filename",
    "filename must be the image of the XML file's name",
    FIX,
    fixed="image of the XML file's name taken",
    dropped="image",
)
_ONE_BASED_RULE = rule(
    "voc-one-based",
    "coordinates must be edges counted from 0; VOC's own files name pixels counted from 1",
    FIX,
    fixed="file with boxes moved to edges counted from 0",
)
_LISTED_RULE = rule(
    "voc-listed", "an image in a list of a split must have an XML file", dropped="image"
)


class _File(NamedTuple):
    """What an XML file says.

    Attributes:
        path: of the file.
        is_voc: it says that it is of VOC's own data.
        objects: in it.
    """

    path: str
    is_voc: bool
    objects: list[VocObject]


def read_voc(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads all XML files of a folder and below, or those of a list in ImageSets/Main.

    Args:
        spec: its annotations are a folder of XML files, the folder of a VOC year, or the list of a
            split in there. Classes come from ``spec.classes``, else they are the names that occur,
            sorted.
        policy: what is done about broken rules. With "voc-one-based=fix" chosen, all files count
            from 1; otherwise those that name VOC as their source, if no coordinate is 0.
    """
    reading = DatasetReading(policy=policy)
    spec, labels = _labels(spec, reading)
    if reading.problems or not folders_exist(spec, reading):
        return reading
    names = ImagesByName(spec.images)
    found = labels if labels is not None else list_label_files(spec.annotations, ".xml")
    listings = [
        listing
        for label in found
        for listing in [_listing(label, names, spec, reading)]
        if listing is not None
    ]
    classes = NamedClasses(spec, reading)
    images = ListedImages(spec.images, reading)
    pairs = images.add(listings, missing=PARTNER_RULE)
    moved = _one_based([listing.content for _, listing in pairs], reading)
    for image, listing in pairs:
        file: _File = listing.content
        for one in file.objects:
            is_dropped = one.is_difficult and (
                reading.report(*one.place, OBJECT_DIFFICULT, shown(one.name)) != FIX
            )
            if is_dropped:
                continue
            outline = moved_to_zero(one.outline) if file.path in moved else one.outline
            index = classes.index(one.name, one.place)
            add_object(reading, image, one.place, index, outline, crowd=one.is_difficult)
    if labels is None:
        images.add_others()
    images.finish(in_order_of_names=True)
    classes.sort()
    return reading


def _labels(spec: DatasetSpec, reading: DatasetReading) -> tuple[DatasetSpec, list[str] | None]:
    """The spec with the folders of XML files and of images, and the XML files of a list."""
    folder, labels = spec.annotations, None
    if os.path.isfile(folder):
        # VOC2012/ImageSets/Main/train.txt
        words = [line.strip() for line in (read_text(folder, reading) or "").split("\n")]
        # Lists of a class end with 1, 0 or -1: it is there, difficult, or not there.
        ids = [re.sub(r"\s+-?[01]$", "", word) for word in words if word]
        year = os.path.dirname(os.path.dirname(os.path.dirname(folder)))
        there = set(list_label_files(os.path.join(year, "Annotations"), ".xml"))
        labels = []
        for number, name in enumerate(ids, start=1):
            label = f"{name}.xml"
            if label in there:
                labels.append(label)
            else:
                reading.report(folder, f"line {number}", _LISTED_RULE, f"no {label}")
        folder = year
    inner = os.path.join(folder, "Annotations")
    images = os.path.join(spec.images, "JPEGImages")
    return DatasetSpec(
        spec.name,
        spec.format,
        inner if os.path.isdir(inner) else folder,
        images if os.path.isdir(images) else spec.images,
        spec.classes,
    ), labels


def _listing(
    label: str, names: ImagesByName, spec: DatasetSpec, reading: DatasetReading
) -> Listing | None:
    """What an XML file says of its image, None after reporting what is wrong with it."""
    path = os.path.join(spec.annotations, label)
    content = read_xml(path, reading)
    if content is None:
        return None
    root, lines = content
    if root.tag != "annotation":
        reading.report(path, "whole file", _ROOT_RULE, shown(root.tag))
        return None
    told = (root.findtext("filename") or "").strip().replace("\\", "/")
    own = names.of(label)
    if own and told and not _same_name(told, own):
        value = f"{shown(told)} in the file of {shown(own)}"
        if reading.report(path, "filename", _FILENAME_RULE, value) != FIX:
            return None
    size = whole_size(root.findtext("size/width"), root.findtext("size/height"))
    objects = list(read_objects(root, lines, path, reading))
    file = _File(path, _says_voc(root), objects)
    name = own or told or slashed(os.path.splitext(label)[0])
    return Listing([name], size, (path, "filename"), file)


def _same_name(told: str, own: str) -> bool:
    """Whether a file name is that of an image; its folder and ending don't count."""
    name, image = (os.path.basename(stem(path)).lower() for path in (told, own))
    # A name without an ending may hold a point.
    return image in (name, os.path.basename(told).lower())


def _says_voc(root: Element) -> bool:
    return bool(re.search(r"\bVOC\s?\d{4}\b", root.findtext("source/database") or ""))


def _one_based(files: list[_File], reading: DatasetReading) -> set[str]:
    """Paths of the files whose boxes are to be moved; they are counted."""
    chosen = reading.policy.chosen.get(_ONE_BASED_RULE.name) == FIX
    said = [file for file in files if file.is_voc]
    from_zero = any(min(one.outline.corners[:2]) < 1 for file in said for one in file.objects)
    wanted: Iterator[_File] = iter(files if chosen else () if from_zero else said)
    return {
        file.path
        for file in wanted
        if file.objects
        and reading.report(file.path, "bndbox", _ONE_BASED_RULE, f"{len(file.objects)} boxes")
        == FIX
    }
