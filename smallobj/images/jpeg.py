"""Whether a JPEG is whole: the walk through its segments and scans to its end marker."""

from __future__ import annotations

import re
import struct

import numpy as np

_START, _END = b"\xff\xd8", b"\xff\xd9"
_PADDING = b"\0\xff\r\n"
# In a scan's data 0xFF is followed by 0, or by a restart marker; fill bytes may precede a marker.
_MARKER_AFTER_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _FRAMES = 0xDA, {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_EXIF = b"Exif\0\0"
# Tables, restart interval, number of lines, applications' data, comment.
_BETWEEN_SCANS = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}


def is_jpeg(data: np.ndarray) -> bool:
    """Whether bytes, (N,) uint8, begin as a JPEG does."""
    return data[:2].tobytes() == _START


def is_whole(data: np.ndarray) -> bool:
    """Whether a JPEG has the end marker of its image; libjpeg fills what is missing with grey.

    A file that ends with an end marker is whole. Otherwise something may follow, such as the film
    of a motion photo, whose bytes may look like an end marker; then every segment and scan is
    walked through (ITU-T T.81, B.1).

    Args:
        data: the file, (N,) uint8.
    """
    header = _header_end(data)
    if data[max(header, len(data) - 4096) :].tobytes().rstrip(_PADDING).endswith(_END):
        return True
    return _image_end(data, header) is not None


def components(data: np.ndarray) -> int:
    """Number of colour components: 1 grey, 3 colour, 4 CMYK; 3 if the header doesn't say."""
    for marker, content in _segments(data):
        if marker in _FRAMES and len(content) > 5:
            return content[5]
    return 3


def exif(data: np.ndarray) -> bytes | None:
    """The Exif block of the header, without its name; None if there is none."""
    for marker, content in _segments(data):
        if marker == 0xE1 and content.startswith(_EXIF):
            return content[len(_EXIF) :]
    return None


def _segments(data: np.ndarray) -> list[tuple[int, bytes]]:
    """(marker, content) of the segments before the first scan."""
    found, position = [], 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _SCAN:
        length = _length(data, position)
        found.append((int(data[position + 1]), data[position + 4 : position + length].tobytes()))
        position += length
    return found


def _header_end(data: np.ndarray) -> int:
    """Position of the first scan; thumbnails, with end markers of their own, lie before it."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _SCAN:
        position += _length(data, position)
    return position


def _length(data: np.ndarray, position: int) -> int:
    """Bytes of the segment at a position, its marker included."""
    if data[position + 1] == 0xFF:  # a fill byte
        return 1
    return 2 + struct.unpack(">H", data[position + 2 : position + 4].tobytes())[0]


def _image_end(data: np.ndarray, position: int) -> int | None:
    """Position after the end marker; None if it is missing or a marker is out of place."""
    content = memoryview(np.ascontiguousarray(data))  # type: ignore[arg-type]
    while position + 4 <= len(data):
        # A segment, or the header of a scan, and then the data of a scan if there are any.
        found = _MARKER_AFTER_DATA.search(content, position + _length(data, position))
        if found is None:
            return None
        marker, position = content[found.end() - 1], found.end() - 2
        if marker == _END[1]:
            return found.end()
        if marker != _SCAN and marker not in _BETWEEN_SCANS:
            return None
    return None
