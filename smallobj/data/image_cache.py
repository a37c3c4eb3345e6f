"""A folder of arrays made from image files, so that each is made once."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from smallobj.checks import check_not_negative
from smallobj.whole_file import whole_path

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


class ImageCache:
    """Keeps what was made of files, up to a number of bytes; several processes may share it.

    Nothing is ever thrown out: where each image is read once an epoch, in any order, no other rule
    would find more of them. Bytes are those of all files in the folder.
    """

    # Arrays that are written between two looks at how full the folder is: what several processes
    # can together exceed the limit by, each.
    LOOK_EVERY = 64

    def __init__(self, folder: str, max_bytes: float) -> None:
        """
        Args:
            folder: made when the first array is written.
            max_bytes: no array is added that would exceed it; 0 keeps nothing.

        Raises:
            ValueError: a negative number.
        """
        check_not_negative("INPUT.SQUASH_CACHE.MAX_GB", max_bytes)
        self.folder = folder
        self.max_bytes = max_bytes
        self._used = 0.0
        self._until_look = 0

    def __call__(self, path: str, how: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a file, kept or made.

        Args:
            path: the file; if it changes, its arrays are recomputed.
            how: describes what is computed; part of the cache key.
            make: computes them.
        """
        if not self.max_bytes:
            return make()
        try:
            place = self._place(path, how)
        except OSError:
            return make()  # which reports a missing file
        # A damaged or missing cache file is recomputed.
        broken = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
        with contextlib.suppress(*broken), np.load(place, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
        arrays = make()
        self._keep(place, arrays)
        return arrays

    def _place(self, path: str, how: str) -> str:
        status = os.stat(path)
        told = f"{os.path.abspath(path)}\n{status.st_mtime_ns}\n{status.st_size}\n{how}"
        return os.path.join(self.folder, hashlib.sha256(told.encode()).hexdigest() + ".npz")

    def _keep(self, place: str, arrays: Any) -> None:
        if self._used >= self.max_bytes:
            return
        content = io.BytesIO()
        np.savez(content, **arrays)
        size = content.getbuffer().nbytes
        try:
            os.makedirs(self.folder, exist_ok=True)
            if self._until_look <= 0:
                self._used = sum(entry.stat().st_size for entry in os.scandir(self.folder))
                self._until_look = self.LOOK_EVERY
            if self._used + size > self.max_bytes:
                logger.info("%s is full; other images are recomputed", self.folder)
                self._used = self.max_bytes
                return
            part = f".{uuid.uuid4().hex}.part"
            with whole_path(place, part) as beside, open(beside, "wb") as file:
                file.write(content.getbuffer())
        except OSError as error:
            # A full disk is no reason to end a training that can go on without.
            logger.warning("%s: nothing more is kept there: %s", self.folder, error)
            self._used = self.max_bytes
            return
        self._used += size
        self._until_look -= 1
