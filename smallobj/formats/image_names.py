"""Images by the names under which other files know them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath


class ImageNames:
    """Finds an image's number by a path, of which only the end must agree.

    Results name images as they were found, ``photos/7.jpg`` or ``/data/photos/7.jpg``, or by their
    names alone.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """
        Args:
            paths: of the images by number. The folder that all of them share may be another one
                in what is looked for.
        """
        parts = [PurePath(os.path.normpath(path)).parts for path in paths]
        shared = 0
        for folders in zip(*(path[:-1] for path in parts), strict=False):
            if len(set(folders)) > 1:
                break
            shared += 1
        self._below = {path[shared:]: number for number, path in enumerate(parts)}
        # Every end of every path; None where several images share it.
        self._ends: dict[tuple[str, ...], int | None] = {}
        for number, path in enumerate(parts):
            for first in range(len(path)):
                end = path[first:]
                self._ends[end] = None if end in self._ends else number

    def find(self, path: str) -> int | None:
        """Number of the image, None where none or more than one is meant."""
        parts = PurePath(os.path.normpath(path)).parts
        # The name below the shared folder first: as the end of a path it might fit several images.
        if parts in self._below:
            return self._below[parts]
        if parts in self._ends:
            return self._ends[parts]
        for first in range(len(parts)):
            if parts[first:] in self._below:
                return self._below[parts[first:]]
        return None
