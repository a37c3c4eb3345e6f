"""Finds images under names that other systems and tools gave them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from urllib.parse import unquote

from smallobj.data.labels.image_list import list_images
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, rule

PATH_MAPPED = rule(
    "path-mapped",
    "an image must be named by its path below the folder of images",
    FIX,
    fixed="image found under another name",
)
# Label Studio puts eight hexadecimal digits before the name of each upload.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
# "s3://bucket/", "http://host/", "/data/local-files/?d=", "C:\".
_BEFORE_PATH = re.compile(r"^(?:\w{2,}://[^/]*/|[A-Za-z]:/|.*\?d=)")


class ImageLookup:
    """Paths of images below a folder, by the names in label files.

    A name that is there counts as it is. Otherwise, in this order, a file is looked for that is
    the only one to agree with the name: without its first folders; in upper or lower case; by its
    name alone; without the digits that Label Studio adds; with another ending.
    """

    def __init__(self, folder: str) -> None:
        """
        Args:
            folder: the folder of images; it is listed when the first name is not there.
        """
        self._folder = folder
        self._by_key: dict[str, set[str]] | None = None

    def find(self, name: str) -> str | None:
        """Path below the folder, None where no or more than one image is meant.

        Args:
            name: as the label file has it.
        """
        plain = unslashed(name)
        for candidate in dict.fromkeys((plain, unquote(plain))):
            found = self._find(candidate)
            if found is not None:
                return found
        return None

    def path(self, name: str, place: tuple[str, str], reading: DatasetReading) -> str:
        """Path of an image, found as :meth:`find` does; a name that was mapped is counted.

        Args:
            name: as the label file has it.
            place: file and entry that names it.
            reading: receives the counts.

        Returns:
            The path; that of the name itself where no image was found or mapping is forbidden.
        """
        written = os.path.normpath(os.path.join(self._folder, name))
        if os.path.isfile(written):
            return written
        found = self.find(name)
        if found is None:
            return written
        if reading.report(*place, PATH_MAPPED, f"{name!r} for {found!r}") != FIX:
            return written
        return os.path.join(self._folder, found)

    def _find(self, name: str) -> str | None:
        parts = name.split("/")
        ends = ["/".join(parts[first:]) for first in range(len(parts))]
        bare = without_upload_digits(parts[-1])
        stem = os.path.splitext(parts[-1])[0]
        for end in ends:
            # Its whole path below the folder: other folders may hold an image of the same name.
            if os.path.isfile(os.path.join(self._folder, end)):
                return end
        for key in (*ends, *(f"?{end.lower()}" for end in ends), bare, f"?{bare.lower()}"):
            found = self._known().get(key, set())
            if len(found) == 1:
                return next(iter(found))
        # An ending is only looked past for a file that could be an image of that name.
        found = self._known().get(f"*{stem.lower()}", set())
        return next(iter(found)) if len(found) == 1 else None

    def _known(self) -> dict[str, set[str]]:
        """Images by the ends of their paths; "?" before one in lower case, "*" before a stem."""
        if self._by_key is None:
            known: dict[str, set[str]] = defaultdict(set)
            for path in list_images(self._folder):
                parts = path.replace(os.sep, "/").split("/")
                for first in range(len(parts)):
                    end = "/".join(parts[first:])
                    known[end].add(path)
                    known[f"?{end.lower()}"].add(path)
                known[f"*{os.path.splitext(parts[-1])[0].lower()}"].add(path)
            self._by_key = dict(known)
        return self._by_key


def without_upload_digits(name: str) -> str:
    """A file's name without what Label Studio puts before it.

    >>> without_upload_digits("1a2b3c4d-photo.jpg")
    'photo.jpg'
    """
    return _UPLOAD.sub("", name)


def unslashed(name: str) -> str:
    r"""A path below a folder: slashes, and no host, drive, "./" or "../" at its start.

    >>> unslashed(r"C:\photos\.\a.jpg"), unslashed("s3://bucket/x/a.jpg")
    ('photos/a.jpg', 'x/a.jpg')
    """
    path = _BEFORE_PATH.sub("", name.strip().replace("\\", "/"))
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
