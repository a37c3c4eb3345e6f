"""A cache folder of arrays computed from image files."""

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
    """Caches arrays computed from files, up to a number of bytes; several processes may share it.

    Nothing is ever evicted: since each image is read once per epoch, in any order, no other rule
    would give more cache hits. All files in the folder count towards the limit.
    """

    # Number of files written between two measurements of the folder's size. Each process can exceed
    # the limit by this many files.
    LOOK_EVERY = 64

    def __init__(self, folder: str, max_bytes: float) -> None:
        """
        Args:
            folder: created when the first array is written.
            max_bytes: no array is added that would exceed this; 0: no cache.

        Raises:
            ValueError: ``max_bytes`` is negative.
        """
        check_not_negative("INPUT.SQUASH_CACHE.MAX_GB", max_bytes)
        self.folder = folder
        self.max_bytes = max_bytes
        self._used = 0.0
        self._until_look = 0

    def __call__(self, path: str, how: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a file, from the cache or from ``make``.

        Args:
            path: the file; if it changes, its arrays are recomputed.
            how: describes what is computed; part of the cache key.
            make: computes the arrays.
        """
        if not self.max_bytes:
            return make()
        try:
            place = self._place(path, how)
        except OSError:
            return make()  # it reports a missing file
        # A damaged or missing cache file is recomputed.
        broken = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
        with contextlib.suppress(*broken), np.load(place, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
        arrays = make()
        self._keep(place, arrays)
        return arrays

    def _place(self, path: str, how: str) -> str:
        status = os.stat(path)
        key = f"{os.path.abspath(path)}\n{status.st_mtime_ns}\n{status.st_size}\n{how}"
        return os.path.join(self.folder, hashlib.sha256(key.encode()).hexdigest() + ".npz")

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
            # Training can go on without the cache, so a full disk doesn't end it.
            logger.warning("%s: nothing more is kept there: %s", self.folder, error)
            self._used = self.max_bytes
            return
        self._used += size
        self._until_look -= 1
