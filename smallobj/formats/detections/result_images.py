"""Which image of a data set an ``image_id`` of COCO results means.

By COCO's rule it is an id of the labels. Other tools write the name of the image file without its
ending, as a number where it consists of digits (Ultralytics' predictions.json), or ids as texts or
floats.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from smallobj.formats.image_names import ImageNames
from smallobj.image_paths import path_parts

BY_ID, BY_NAME = "id", "name"
_WHOLE = re.compile(r"-?[0-9]{1,18}")


class ImageKey(NamedTuple):
    """What a result says of its image.

    Attributes:
        identity: its ``image_id``, as :func:`as_id` gives it.
        file: its ``file_name``; None where it has none.
    """

    identity: int | str | None
    file: str | None


@dataclass(frozen=True)
class FoundImages:
    """The images that a file of results means.

    Attributes:
        numbers: of the data set's images by key; None for an unknown one.
        by_name: the images were found by names, not by the labels' ids.
        doubt: another way would find all images, too, but other ones.
    """

    numbers: dict[ImageKey, int | None]
    by_name: bool = False
    doubt: bool = False


def as_id(value: Any) -> int | str | None:
    """An id as it is compared: whole floats as ints; None for what is no id.

    >>> as_id(12.0), as_id("12"), as_id(True)
    (12, '12', None)
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) in (int, str) else None


def as_whole(value: Any) -> int | None:
    """The int of a whole number or of its text; None for anything else.

    >>> as_whole("012"), as_whole(3.0), as_whole("a")
    (12, 3, None)
    """
    identity = as_id(value)
    if isinstance(identity, str):
        return int(identity) if _WHOLE.fullmatch(identity) else None
    return identity


def find_images(
    keys: Collection[ImageKey], ids: Sequence[int | str], files: Sequence[str], way: str = ""
) -> FoundImages:
    """The images of all keys, each found in the same way.

    Args:
        keys: of one file.
        ids: of the data set's images.
        files: their paths.
        way: BY_ID, BY_NAME, or "": a file_name decides where each is known, else the labels' ids
            where each is known, else what finds most.
    """
    numbers = {identity: number for number, identity in enumerate(ids)}
    by_id = {key: _by_id(key.identity, numbers) for key in keys}
    if way == BY_ID:
        return FoundImages(by_id)
    names = ImageNames(files)
    by_name = _by_names(keys, names, files)
    if way == BY_NAME:
        return FoundImages(by_name, by_name=True)
    has_files = all(key.file is not None for key in keys)
    differ = by_name != by_id
    if has_files and None not in by_name.values():
        return FoundImages(by_name, by_name=differ)
    if None not in by_id.values():
        doubt = differ and not has_files and None not in by_name.values()
        return FoundImages(by_id, doubt=doubt)
    if _known(by_name) > _known(by_id):
        return FoundImages(by_name, by_name=True)
    return FoundImages(by_id)


def _known(found: dict[ImageKey, int | None]) -> int:
    return sum(number is not None for number in found.values())


def _by_id(identity: int | str | None, numbers: dict[int | str, int]) -> int | None:
    if identity is None:
        return None
    if identity in numbers:
        return numbers[identity]
    # A file with texts for numbers, or the other way round.
    other = as_whole(identity) if isinstance(identity, str) else str(identity)
    return None if other is None else numbers.get(other)


def _by_names(
    keys: Collection[ImageKey], names: ImageNames, files: Sequence[str]
) -> dict[ImageKey, int | None]:
    stems: dict[int, int | None] = {}
    for number, file in enumerate(files):
        whole = as_whole(path_parts(file)[-1].rsplit(".", 1)[0])
        if whole is not None:
            stems[whole] = None if whole in stems else number
    found: dict[ImageKey, int | None] = {}
    for key in keys:
        name = key.identity if key.file is None else key.file
        found[key] = names.find(name) if isinstance(name, str) else stems.get(name or -1)
    return found
