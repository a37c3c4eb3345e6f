"""Atomic writing: a file appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, TextIO

Path = str | os.PathLike[str]


@contextlib.contextmanager
def whole_path(path: str | os.PathLike[str], part: str = ".part") -> Iterator[str]:
    """Yields a temporary path beside ``path``, renamed to ``path`` if the block ends without error.

    So an incomplete file is never visible, and an existing one is only replaced by a complete one.

    Args:
        path: the file; its folder is created.
        part: ending of the temporary name, for writers that choose the format by it, and to keep
            apart several processes that may write the same file at once.
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
    """Opens a file for writing bytes; it appears at ``path`` if the block ends without error."""
    with whole_path(path) as beside, open(beside, "wb") as file:
        yield file


@contextlib.contextmanager
def whole_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """As :func:`whole_file` for UTF-8 text.

    Bytes of file names that are not UTF-8 are written as escapes, which JSON reads back.
    """
    with (
        whole_path(path) as beside,
        open(beside, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes bytes to a file, which is never visible while incomplete."""
    with whole_file(path) as file:
        file.write(content)


def require_writable(paths: Sequence[str]) -> None:
    """Creates the folders of files that are to be written at the end of a long run.

    Raises:
        ValueError: a path is a folder, or its folder is not writable.
        OSError: a folder can't be created.
    """
    for path in paths:
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        if os.path.isdir(path):
            raise ValueError(f"{path}: a file is to be written here, and this is a folder")
        if not os.access(folder, os.W_OK):
            raise ValueError(f"{path}: its folder is not writable")


def list_beside(path: str) -> str:
    """Path of the list of classes that goes along with a file, or with a folder of files.

    >>> list_beside("a/found.csv"), list_beside("a/labels/")
    ('a/found.csv.classes.json', 'a/labels.classes.json')
    """
    # With the ending: found.csv and found.xml may have lists of their own.
    return f"{os.path.normpath(path)}.classes.json"


def check_outputs(outputs: Iterable[tuple[str, Path | None]], inputs: Iterable[Path]) -> None:
    """Checks that no file to write is a file to read or another one to write.

    Files are compared, not names: links, upper and lower case and relative parts don't hide one.

    Args:
        outputs: pairs of the option that names the file, for messages, and its path; None for a
            file that isn't written.
        inputs: files that are read. Those that don't exist are passed over.

    Raises:
        ValueError: one of them is.
    """
    names: dict[str, str] = {}
    there: dict[tuple[int, int], tuple[str, str]] = {}
    for option, path in ((option, os.fspath(path)) for option, path in outputs if path):
        # Some file systems tell no upper from lower case.
        name = os.path.realpath(path).casefold()
        if name in names:
            both = option if names[name] == option else f"{names[name]} and {option}"
            raise ValueError(f"{both} would write the same file twice: {path}")
        names[name] = option
        identity = _identity(path)
        if identity is not None:
            there[identity] = (option, path)
    if not there:
        return  # what does not exist yet is no input
    for read in inputs:
        found = there.get(_identity(read) or (-1, -1))
        if found is not None:
            raise ValueError(f"{found[0]} {found[1]} would replace the input {os.fspath(read)}")


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file have in common, None for a file that isn't there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
