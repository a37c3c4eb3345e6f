"""The ``images`` of a COCO file: their ids, names and sizes."""

from __future__ import annotations

import dataclasses
from typing import Any

from smallobj.data.labels.ids import Ids
from smallobj.data.labels.image_lookup import ImageLookup, unslashed
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, make_record
from smallobj.data.labels.rules import FIX, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.images.kinds import read_start
from smallobj.images.orientation import is_turned_sideways, orientation_of
from smallobj.images.size import read_sizes

_IMAGE_RULE = rule(
    "coco-image",
    "an image must be an object with an id and a file_name, a string",
    dropped="image",
)
_TWICE = rule(
    "image-twice",
    "a file_name may occur once",
    fixed="image entry merged with the first of its name",
    dropped="image",
)
_ID_TWICE = rule("image-id-twice", "an image's id may occur once", dropped="image")
_SIZE_RULE = rule(
    "image-size",
    "width and height must be those of the image",
    FIX,
    fixed="size taken from the image",
    dropped="image",
)
_TURNED_RULE = rule(
    "image-turned",
    "width and height must be those of the upright image (EXIF orientation applied): boxes drawn "
    "in the image as it is stored lie elsewhere",
    fixed="size taken from the upright image",
    dropped="image",
)
_SCALED_RULE = rule(
    "image-scaled",
    "width and height must be those of the image: boxes drawn in a smaller or larger copy lie "
    "elsewhere",
    fixed="image whose boxes are scaled to it",
    dropped="image",
)
_TOLD_SIZE_RULE = rule(
    "image-size-unknown",
    "without a folder of images, an image must have a whole width and height",
    dropped="image",
)
# Sides in the same ratio up to this share are those of a scaled copy.
_SAME_RATIO = 0.02


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
                reading.report(*place, _TWICE, f"{shown(name)} again")
            elif reading.report(*place, _TWICE, f"{shown(name)} again") == FIX:
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
            reading.report(*place, _TOLD_SIZE_RULE, value)
            return
        found = told
    size: tuple[int, int] = found
    if told != size and ("width" in entry or "height" in entry):
        value = f"{shown(entry.get('width'))} wide, {shown(entry.get('height'))} high; the image "
        value += f"is {size[1]} and {size[0]}"
        broken = _SIZE_RULE
        if told is not None and told == size[::-1] and _is_stored_sideways(path):
            broken = _TURNED_RULE
        elif told is not None and _is_scaled(told, size):
            broken = _SCALED_RULE
        if reading.report(*place, broken, value) != FIX:
            return
        if broken is _SCALED_RULE and told is not None:
            image.scale = (size[1] / told[1], size[0] / told[0])
    image.record = make_record(path, identity, size)  # type: ignore[arg-type]


def _is_stored_sideways(path: str) -> bool:
    return is_turned_sideways(orientation_of(path, read_start(path).kind))


def _is_scaled(told: tuple[int, int], size: tuple[int, int]) -> bool:
    by_height, by_width = size[0] / told[0], size[1] / told[1]
    # A few pixels more or less are another kind of mistake, which moves no box.
    far = abs(size[0] - told[0]) > 2 or abs(size[1] - told[1]) > 2
    return far and abs(by_height / by_width - 1) <= _SAME_RATIO


def _told_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    sides = [entry.get("height"), entry.get("width")]
    whole = [int(side) for side in sides if isinstance(side, int | float) and side == side // 1]
    if len(whole) < 2 or any(isinstance(side, bool) for side in sides) or min(whole) <= 0:
        return None
    return whole[0], whole[1]
