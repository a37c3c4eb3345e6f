"""A file that appears under its name when all of it is written."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO


class WholeFile:
    """A file written beside its place and moved there when the block ends well.

    So no half of it is ever seen, and one of its name is replaced by a whole one only.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._partial = f"{path}.part"
        self._text: TextIO | None = None

    def __enter__(self) -> WholeFile:
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        self.stream = open(self._partial, "wb")
        return self

    def text(self) -> TextIO:
        """The file as UTF-8 text; what a file name holds beyond that becomes a JSON escape."""
        self._text = io.TextIOWrapper(
            self.stream, encoding="utf-8", errors="backslashreplace", newline=""
        )
        return self._text

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        (self._text or self.stream).close()
        if error is None:
            os.replace(self._partial, self.path)
        else:
            os.remove(self._partial)


def write_whole(path: str, content: bytes) -> None:
    """Writes a file beside its place and moves it there, so that no half of it is ever seen."""
    with WholeFile(path) as file:
        file.stream.write(content)


def require_writable(paths: Sequence[str]) -> None:
    """Makes the folders of files that are to be written at the end of a long run.

    Raises:
        ValueError: one is a folder, or may not be written.
        OSError: a folder can't be made.
    """
    for path in paths:
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        if os.path.isdir(path):
            raise ValueError(f"{path}: a file is to be written here, and this is a folder")
        if not os.access(folder, os.W_OK):
            raise ValueError(f"{path}: this folder may not be written to")
