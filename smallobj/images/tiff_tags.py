"""Integer tags of the first image of a TIFF or BigTIFF file, or of an Exif block."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import BinaryIO

# Formats of the integer types, by their number in TIFF 6.0, section 2, and BigTIFF.
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_VALUES = 1024
_BROKEN = "its TIFF directory is broken"


def read_tags(stream: BinaryIO, tags: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Values of the tags asked for, as far as the first directory has them.

    Args:
        stream: at the first byte of the TIFF header.
        tags: numbers of tags with integer values.

    Raises:
        ValueError: the header or the directory is broken.
    """
    origin = stream.tell()
    order = {b"II": "<", b"MM": ">"}.get(stream.read(2))
    if order is None:
        raise ValueError(_BROKEN)
    try:
        (version,) = _unpack(stream, f"{order}H")
        if version not in (42, 43):
            raise ValueError(_BROKEN)
        is_big = version == 43
        if is_big:
            stream.seek(4, 1)
        (offset,) = _unpack(stream, order + ("Q" if is_big else "I"))
        stream.seek(origin + offset)
        (count,) = _unpack(stream, order + ("Q" if is_big else "H"))
        size = 20 if is_big else 12
        if count > 65535:
            raise ValueError(_BROKEN)
        directory = stream.read(count * size)
        if len(directory) < count * size:
            raise ValueError(_BROKEN)
        found = {}
        for start in range(0, len(directory), size):
            entry = directory[start : start + size]
            tag, kind = struct.unpack_from(f"{order}HH", entry)
            if tag in tags and kind in _TYPES:
                found[tag] = _values(stream, origin, order, is_big, entry, kind)
        return found
    except (struct.error, OverflowError, OSError) as error:
        raise ValueError(_BROKEN) from error


def _unpack(stream: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))


def _values(
    stream: BinaryIO, origin: int, order: str, is_big: bool, entry: bytes, kind: int
) -> tuple[int, ...]:
    (count,) = struct.unpack_from(order + ("Q" if is_big else "I"), entry, 4)
    field = entry[12:] if is_big else entry[8:]
    form = f"{order}{min(count, _MOST_VALUES)}{_TYPES[kind]}"
    if count * struct.calcsize(_TYPES[kind]) > len(field):
        (offset,) = struct.unpack(order + ("Q" if is_big else "I"), field)
        stream.seek(origin + offset)
        field = stream.read(struct.calcsize(form))
    return struct.unpack_from(form, field)
