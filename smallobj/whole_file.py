"""A file that appears under its name when all of it is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, TextIO


@contextlib.contextmanager
def whole_path(path: str | os.PathLike[str], part: str = ".part") -> Iterator[str]:
    """The name of a file beside ``path``, which is moved there when the block ends well.

    So no half of it is ever seen, and one of its name is replaced by a whole one only.

    Args:
        path: the file; its folder is made.
        part: what the name beside it ends with, for writers that go by the ending, and where
            several processes may write the same file at once.
    """
    beside = f"{os.fspath(path)}{part}"
    os.makedirs(os.path.dirname(os.path.abspath(beside)), exist_ok=True)
    try:
        yield beside
        os.replace(beside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(beside)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write bytes to, which appears under its name when the block ends well."""
    with whole_path(path) as beside, open(beside, "wb") as file:
        yield file


@contextlib.contextmanager
def whole_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """The same for UTF-8 text; what a file name holds beyond that becomes an escape, which JSON
    reads back."""
    with (
        whole_path(path) as beside,
        open(beside, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file of these bytes, of which no half is ever seen."""
    with whole_file(path) as file:
        file.write(content)


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
