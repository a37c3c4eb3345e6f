"""Kinds of image files by their first bytes, and whether their values have more than 8 bits."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from smallobj.image_paths import RAW_ENDINGS
from smallobj.images.broken import BrokenImageError

START_BYTES = 512
_SIGNATURES = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xffO\xffQ", "JPEG 2000"),  # bare codestream
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
)
_UNREAD = (
    (b"8BPS", "a Photoshop file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL file"),
    (b"v/1\x01", "an OpenEXR file"),
    (b"<svg", "an SVG file"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_NETPBM_HEADER = re.compile(rb"P([1-6])(?:\s+|\s*#[^\n]*\n)+\d+(?:\s+|\s*#[^\n]*\n)+\d+\s")
_NETPBM_MOST = re.compile(rb"(?:\s*#[^\n]*\n|\s)*(\d+)\s")
KINDS = ("TIFF", "JPEG 2000", "PNG", "JPEG", "BMP", "WebP", "GIF", "AVIF", "netpbm")


class Start(NamedTuple):
    """What the first bytes of a file say.

    Attributes:
        kind: one of KINDS; "" if it is none of them.
        is_deep: a PNG or netpbm file of more than 8 bits; those of other kinds are not known here.
    """

    kind: str
    is_deep: bool = False


def read_start(path: str | os.PathLike[str]) -> Start:
    """Recognises a file by its first bytes, whatever its name; only camera raw is known by name.

    Raises:
        FileNotFoundError: there is no such file.
        BrokenImageError: the file is of a kind that is known and not read, such as HEIC.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"{name}: no such image file")
    with open(name, "rb") as stream:
        start = stream.read(START_BYTES)
    if name.lower().endswith(RAW_ENDINGS):
        # Many are TIFF files inside whose first image is a thumbnail.
        raise BrokenImageError(
            f"{name}: a camera's raw file, which is not read; develop it to TIFF"
        )
    for signature, what in _UNREAD:
        if start.startswith(signature):
            raise BrokenImageError(f"{name}: {what}, which is not read; convert it to PNG or TIFF")
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            # A PNG's first chunk, IHDR, has its bit depth in byte 24.
            return Start(kind, is_deep=kind == "PNG" and start[24:25] == b"\x10")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return Start("WebP")
    if start[4:8] == b"ftyp":
        return Start(_media_kind(start, name))
    return _netpbm(start)


def _media_kind(start: bytes, name: str) -> str:
    # A brand is the major one or any compatible one; both formats may have "mif1" as the major.
    brands = start[8 : min(int.from_bytes(start[:4], "big"), START_BYTES)]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    if any(brand in brands for brand in _HEIC_BRANDS):
        raise BrokenImageError(f"{name}: a HEIC file, which is not read; convert it to JPEG")
    return ""


def _netpbm(start: bytes) -> Start:
    header = _NETPBM_HEADER.match(start)
    if not header:
        return Start("")
    most = _NETPBM_MOST.match(start, header.end() - 1)
    is_bitmap = header[1] in (b"1", b"4")
    return Start("netpbm", is_deep=not is_bitmap and most is not None and int(most[1]) > 255)
