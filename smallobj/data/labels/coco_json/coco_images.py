"""The ``images`` of a COCO file: their ids, names and sizes."""

from __future__ import annotations

import dataclasses
from typing import Any

from smallobj.data.labels.coco_json.ids import Ids
from smallobj.data.labels.image_lookup import ImageLookup, unslashed
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, make_record
from smallobj.data.labels.rules import FIX, IMAGE_TWICE, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.told_size import UNKNOWN_SIZE, scale_of
from smallobj.images.size import read_sizes

_IMAGE_RULE = rule(
    "coco-image",
    "an image must be an object with an id and a file_name, a string",
    dropped="image",
)
_ID_TWICE = rule("image-id-twice", "an image's id may occur once", dropped="image")


@dataclasses.dataclass
class CocoImage:
    """An image of a COCO file.

    Attributes:
        record: its Detectron2 record; None if it is left out.
        scale: (x, y) by which boxes in the file are multiplied.
    """

    record: dict[str, Any] | None
    scale: tuple[float, float] = (1.0, 1.0)


def read_images(
    entries: list[Any], ids: Ids, spec: DatasetSpec, reading: DatasetReading
) -> dict[int | str, CocoImage]:
    """Images by id; those that are left out, too, so that their labels are known to be theirs.

    Args:
        entries: the list ``images``.
        ids: of the images.
        spec: where the data set lies; without a folder of images sizes come from the file.
        reading: receives problems.
    """
    images: dict[int | str, CocoImage] = {}
    named: dict[str, CocoImage] = {}
    new: list[tuple[str, dict[str, Any], int | str, str]] = []
    lookup = ImageLookup(spec.images) if spec.images else None
    for number, entry in enumerate(entries):
        where = f"images[{number}]"
        identity = ids.of(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if identity is None or not isinstance(name, str) or not name:
            reading.report(spec.annotations, where, _IMAGE_RULE, shown(entry))
            if identity is not None:
                images.setdefault(identity, CocoImage(None))
            continue
        place = (spec.annotations, f"{where} ({name})")
        path = lookup.path(name, place, reading) if lookup else unslashed_name(name)
        if path in named:
            if identity in images and images[identity] is named[path]:
                reading.report(*place, IMAGE_TWICE, f"{shown(name)} again")
            elif reading.report(*place, IMAGE_TWICE, f"{shown(name)} again") == FIX:
                images.setdefault(identity, named[path])
            else:
                images.setdefault(identity, CocoImage(None))
        elif identity in images:
            reading.report(*place, _ID_TWICE, f"id {shown(identity)} again")
        else:
            images[identity] = named[path] = CocoImage(None)
            new.append((place[1], entry, identity, path))
    sizes: list[Any] = [None] * len(new)
    if spec.images:
        sizes = list(read_sizes([path for *_, path in new]))
    for (where, entry, identity, path), size in zip(new, sizes, strict=True):
        _fill(images[identity], entry, identity, path, size, where, spec, reading)
    return images


def unslashed_name(name: str) -> str:
    """A file's name with "/" between folders, otherwise as it is."""
    return name if "\\" not in name else unslashed(name)


def _fill(
    image: CocoImage,
    entry: dict[str, Any],
    identity: int | str,
    path: str,
    found: Any,
    where: str,
    spec: DatasetSpec,
    reading: DatasetReading,
) -> None:
    """Gives an image its record, unless its size cannot be known or is refused."""
    told = _told_size(entry)
    place = (spec.annotations, where)
    if isinstance(found, Exception):
        reading.report_image(*place, path, found)
        return
    if found is None:
        if told is None:
            value = f"{shown(entry.get('width'))} and {shown(entry.get('height'))}"
            reading.report(*place, UNKNOWN_SIZE, value)
            return
        found = told
    size: tuple[int, int] = found
    if told != size and ("width" in entry or "height" in entry):
        value = f"{shown(entry.get('width'))} wide, {shown(entry.get('height'))} high"
        scale = scale_of(told, size, path, place, reading, value)
        if scale is None:
            return
        image.scale = scale
    image.record = make_record(path, identity, size)  # type: ignore[arg-type]


def _told_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    sides = [entry.get("height"), entry.get("width")]
    whole = [int(side) for side in sides if isinstance(side, int | float) and side == side // 1]
    if len(whole) < 2 or any(isinstance(side, bool) for side in sides) or min(whole) <= 0:
        return None
    return whole[0], whole[1]
