"""Images as label files list them, and their records."""

from __future__ import annotations

import os
from typing import Any

from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, make_record
from smallobj.images.size import read_sizes

UNIQUE_IMAGE = "an image may be named once"


def slashed(path: str) -> str:
    """With "/" between folders, as files that travel between systems have it."""
    return path.replace(os.sep, "/")


class ListedImages:
    """The images that were listed so far, by name below the folder of images.

    Attributes:
        records: by name; without a height and a width where the size is unknown.
    """

    def __init__(self, folder: str, reading: DatasetReading) -> None:
        """
        Args:
            folder: of the images; "" where there is none, and sizes are what the labels say.
            reading: receives the problems.
        """
        self._folder = folder
        self._reading = reading
        self.records: dict[str, dict[str, Any]] = {}

    def add(
        self, name: str, size: tuple[int, int] | None, place: tuple[str, str]
    ) -> dict[str, Any] | None:
        """The record of a new image; None after reporting that it came before or isn't there.

        Args:
            name: path below the folder, with "/".
            size: (h, w) as the labels say it; the image's own counts where there is a folder.
            place: file and entry that a problem names.
        """
        if name in self.records:
            self._reading.report(*place, UNIQUE_IMAGE, f"{shown(name)} again")
            return None
        path = name
        if self._folder:
            path = os.path.join(self._folder, name)
            (found,) = read_sizes([path])
            if isinstance(found, Exception):
                self._reading.report_image(*place, path, found)
                return None
            size = found
        self.records[name] = _record(path, len(self.records) + 1, size)
        return self.records[name]

    def add_folder(self, names: list[str]) -> None:
        """Takes images of the folder, with their sizes read in threads."""
        paths = [os.path.join(self._folder, name) for name in names]
        for name, path, size in zip(names, paths, read_sizes(paths), strict=True):
            if isinstance(size, Exception):
                self._reading.report_image(path, "image file", path, size)
            # Kept all the same, or each of its boxes would be reported as one of an unknown image.
            known = (0, 0) if isinstance(size, Exception) else size
            self.records[slashed(name)] = _record(path, len(self.records) + 1, known)

    def readable(self) -> list[dict[str, Any]]:
        """The records, in the order in which they came, but for images that cannot be read."""
        return [record for record in self.records.values() if record.get("height") != 0]


def _record(path: str, image_id: int, size: tuple[int, int] | None) -> dict[str, Any]:
    if size is not None:
        return make_record(path, image_id, size)
    return {"file_name": path, "image_id": image_id, "annotations": []}
