"""Images by the names under which other files know them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

from smallobj.image_paths import is_image_name, path_parts

Parts = tuple[str, ...]


class ImageNames:
    """Finds an image's number by a path, of which only the end must agree.

    Results name images as they were found, ``photos/7.jpg`` or ``/data/photos/7.jpg``, by their
    names alone, or without their ending. Other tools write ``7.png`` or ``7.JPG`` for ``7.jpg``.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """
        Args:
            paths: of the images by number. The folder that all of them share may be another one
                in what is looked for.
        """
        self._parts = [path_parts(path) for path in paths]

    def find(self, path: str) -> int | None:
        """Number of the image, None where none or more than one is meant.

        Where no name agrees, one that differs by its ending or in upper and lower case counts.
        """
        number = self.find_exactly(path)
        if number is not None:
            return number
        *folders, name = path_parts(path.lower())
        for end in (name, _without_ending(name)):
            number = self._loose.find((*folders, end))
            if number is not None:
                return number
        return None

    def find_exactly(self, path: str) -> int | None:
        """As :meth:`find`, for a name with its ending, as it is written."""
        return self._exact.find(path_parts(path))

    @cached_property
    def _exact(self) -> _Ends:
        return _Ends(self._parts)

    @cached_property
    def _loose(self) -> _Ends:
        lower = [tuple(part.lower() for part in parts) for parts in self._parts]
        return _Ends([(*parts[:-1], _without_ending(parts[-1])) for parts in lower])


class _Ends:
    """Numbers of paths by their ends."""

    def __init__(self, paths: Sequence[Parts]) -> None:
        shared = 0
        for folders in zip(*(path[:-1] for path in paths), strict=False):
            if len(set(folders)) > 1:
                break
            shared += 1
        self._below: dict[Parts, int | None] = {}
        # Every end of every path; None where several images share it.
        self._ends: dict[Parts, int | None] = {}
        for number, path in enumerate(paths):
            below = path[shared:]
            self._below[below] = None if below in self._below else number
            for first in range(len(path)):
                end = path[first:]
                self._ends[end] = None if end in self._ends else number

    def find(self, parts: Parts) -> int | None:
        # The name below the shared folder first: as the end of a path it might fit several images.
        if parts in self._below:
            return self._below[parts]
        if parts in self._ends:
            return self._ends[parts]
        for first in range(len(parts)):
            if parts[first:] in self._below:
                return self._below[parts[first:]]
        return None


def _without_ending(name: str) -> str:
    return os.path.splitext(name)[0] if is_image_name(name) else name
