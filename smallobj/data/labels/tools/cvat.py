"""CVAT XML 1.1, "for images" and "for video": shapes below an ``<image>`` or in a ``<track>``.

The score is the shape's attribute ``score``, a crowd region has the attribute ``iscrowd``.
Source: https://docs.cvat.ai/docs/other/xml_format
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from smallobj.data.labels.listed_images import ListedImage, ListedImages, Listing
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, whole_size
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import rule
from smallobj.data.labels.safe_xml import read_xml
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tools.cvat_shapes import WITHOUT_AREA, read_outline
from smallobj.data.labels.tools.cvat_tracks import Key, frame_listings, read_track

_ROOT_RULE = "the file must be CVAT XML, with the root element annotations"
_IMAGE_RULE = rule(
    "cvat-image", "an image must have a name and whole, positive width and height", dropped="image"
)
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
    if not reading.has_folder(spec.images, "image folder"):
        return reading
    if found is None:
        return reading
    root, lines = found
    if root.tag != "annotations":
        reading.report(spec.annotations, "root element", _ROOT_RULE, shown(root.tag))
        return reading
    document = _Document(spec, reading, classes, lines)
    if classes.is_open:
        document.read_labels(root)
    document.read_images(root)
    document.read_tracks(root)
    document.images.finish(in_order_of_names=False)
    classes.sort()
    return reading


class _Document:
    def __init__(
        self,
        spec: DatasetSpec,
        reading: DatasetReading,
        classes: NamedClasses,
        lines: dict[Element, int],
    ) -> None:
        self._spec = spec
        self._path = spec.annotations
        self._reading = reading
        self._classes = classes
        self._lines = lines
        self.images = ListedImages(spec.images, reading)

    def read_labels(self, root: Element) -> None:
        for labels in root.iterfind("meta//labels"):
            seen = set()
            for label in labels.iterfind("label"):
                # The points of a skeleton and labels of whole images are no classes of objects.
                if label.findtext("parent") or label.findtext("type") == "tag":
                    continue
                name = label.findtext("name") or ""
                if name in seen:
                    where = f"line {self._lines[label]}"
                    self._reading.report(self._path, where, _LABEL_RULE, f"{shown(name)} again")
                seen.add(name)
                if name:
                    self._classes.add(name)
                    # A file with a list of labels may not use others; one without takes names as
                    # they come.
                    self._classes.is_open = False

    def read_images(self, root: Element) -> None:
        tasks = {task.findtext("id"): task.findtext("name") for task in root.iterfind("meta//task")}
        elements = root.findall("image")
        names = [element.get("name", "").replace("\\", "/") for element in elements]
        number = Counter(names)
        listings = []
        for element, name in zip(elements, names, strict=True):
            size = whole_size(element.get("width"), element.get("height"))
            place = (self._path, f"line {self._lines[element]} (image {name})")
            if not name or size is None:
                self._reading.report(*place, _IMAGE_RULE, shown(element.attrib))
                continue
            task = element.get("task_id")
            folders = [element.get("subset"), tasks.get(task), task]
            longer = [f"{folder}/{name}" for folder in folders if folder]
            # Images of several tasks may have one name; their folders tell them apart.
            candidates = [*longer, name] if number[name] > 1 else [name, *longer, name]
            listings.append(Listing(candidates, size, place, element))
        for image, listing in self.images.add(listings):
            for shape in listing.content:
                if shape.tag != "attribute":
                    place = (self._path, f"line {self._lines[shape]} (image {listing.names[-1]})")
                    self._read_shape(shape, shape.get("label"), image, listing.size, place)

    def read_tracks(self, root: Element) -> None:
        tracks: dict[str, list[list[Key]]] = defaultdict(list)
        for track in root.iterfind("track"):
            keys = read_track(track, self._lines, self._path, self._reading)
            tracks[track.get("task_id", "")].append(keys)
        listings = frame_listings(root, tracks, self._spec, self._reading)
        for image, listing in self.images.add(listings):
            for key in listing.content:
                place = (self._path, f"line {key.line} (frame {key.frame})")
                self._read_shape(key.element, key.label, image, listing.size, place)

    def _read_shape(
        self,
        shape: Element,
        label: str | None,
        image: ListedImage,
        size: tuple[int, int] | None,
        place: tuple[str, str],
    ) -> None:
        outline = read_outline(shape, size, place, self._reading)
        if outline is None and shape.tag in ("tag", *WITHOUT_AREA):
            return  # its label may be none of an object
        attributes = {
            attribute.get("name"): (attribute.text or "").strip()
            for attribute in shape.iter("attribute")
        }
        add_object(
            self._reading,
            image,
            place,
            self._classes.index(label, place),
            outline,
            # An empty score is the default of the attribute that the writer declares.
            score=attributes.get("score") or None,
            crowd=attributes.get("iscrowd", "").lower() in ("true", "1"),
        )
