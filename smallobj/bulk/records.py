"""The detections of each image, one JSON line per image, in the files that the processes write.

A record is the image's entry in JSON results, preceded by its index in the list of images,
{"index": 7, "file": ..., "width": ..., "height": ..., "detections": [...]}, or
{"index": 7, "file": ..., "error": "why it can't be read"}.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable
from typing import Any

import numpy as np


class RecordWriter:
    """Appends records to a new file; each line is flushed before the next is written."""

    def __init__(self, path: str) -> None:
        """
        Raises:
            FileExistsError: the file exists, so another run writes into this folder.
            OSError: the file can't be created.
        """
        try:
            self._stream = open(path, "xb")  # noqa: SIM115  (open as long as the run)
        except FileExistsError as error:
            raise FileExistsError(
                f"{path}: another run is writing into this folder, or did so just now"
            ) from error

    def write(self, index: int, record: dict[str, Any]) -> None:
        """Appends an image's record; ``index`` is the image's index in the list."""
        text = json.dumps({"index": index, **record}, ensure_ascii=False)
        # Bytes of a file name that are not UTF-8 become JSON escapes, which read back as the same.
        self._stream.write(text.encode("utf-8", "backslashreplace") + b"\n")
        self._stream.flush()

    def close(self) -> None:
        """Closes the file; without it, no record is lost either."""
        self._stream.close()


class Records:
    """Index of the records of all images in mapped files; takes 21 bytes per image.

    Incomplete lines, which a killed process leaves, are ignored. An image that was tried again has
    several records: the first with detections counts, or else the last error.

    Attributes:
        found: (N,) bool, images that have a record.
        broken: (N,) bool, images whose record is an error.
        torn: number of ignored lines.
    """

    def __init__(self, count: int, files: Iterable[str]) -> None:
        """
        Args:
            count: N, number of images.
            files: files of records, in the order in which they were started.
        """
        self.broken = np.zeros(count, bool)
        self.torn = 0
        self._file = np.full(count, -1, np.int32)
        self._start = np.zeros(count, np.int64)
        self._length = np.zeros(count, np.int64)
        self._maps: list[mmap.mmap] = []
        for file in files:
            self._read(file)

    @property
    def found(self) -> np.ndarray:
        return self._file >= 0

    def line(self, index: int) -> bytes:
        """An image's record as it was written, with its line break.

        Raises:
            KeyError: the image has no record.
        """
        if self._file[index] < 0:
            raise KeyError(index)
        start = int(self._start[index])
        return self._maps[self._file[index]][start : start + int(self._length[index])]

    def _read(self, file: str) -> None:
        with open(file, "rb") as stream:
            if not os.fstat(stream.fileno()).st_size:
                return  # an empty file can't be mapped
            # Mapped, since the files of a thousand processes would be too many to keep open.
            self._maps.append(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        start = 0
        for line in iter(self._maps[-1].readline, b""):
            record = self._parse(line)
            if record is None:
                self.torn += 1
            else:
                self._place(record["index"], "error" in record, start, len(line))
            start += len(line)

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None
        if not isinstance(record, dict) or type(record.get("index")) is not int:
            return None
        has_content = "error" in record or "detections" in record
        return record if has_content and 0 <= record["index"] < len(self._file) else None

    def _place(self, index: int, is_error: bool, start: int, length: int) -> None:
        if self._file[index] >= 0 and not self.broken[index]:
            return
        self.broken[index] = is_error
        self._file[index], self._start[index] = len(self._maps) - 1, start
        self._length[index] = length
