"""Lists of up to millions of image files, made without a look-up of each file and kept on disk."""

from __future__ import annotations

import glob
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np

from smallobj.image_paths import files_below, is_hidden, is_image_name, tell_passed_over
from smallobj.whole_file import whole_file

_LIST_ENDING = ".txt"


def list_images(inputs: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
    """Paths of images, without duplicates, in the order of ``inputs``.

    Unlike :func:`smallobj.image_paths.find_images` it doesn't check each file, which for a million
    files would take a million requests to a file server.

    Args:
        inputs: folders (their images and those of subfolders), glob patterns, image files, and
            lists (.txt) with one path per line, relative to the list's folder. Hidden files are
            passed over, in lists too.
        say: is called with a sentence for each input that holds images that are not read.

    Raises:
        FileNotFoundError: a path doesn't exist, or a folder, pattern or list has no image.
        ValueError: a file name with a line break in it.
    """
    found = dict.fromkeys(
        path for name in inputs for path in _expand(os.path.expanduser(name), say)
    )
    broken = next((path for path in found if "\n" in path or "\r" in path), None)
    if broken is not None:
        raise ValueError(f"{broken!r}: a file name must not hold a line break")
    return list(found)


def _expand(name: str, say: Callable[[str], None] | None) -> list[str]:
    if os.path.isdir(name):
        files = files_below(name)
        what = "no image in this folder"
    elif name.lower().endswith(_LIST_ENDING) and os.path.isfile(name):
        return _listed(name)
    elif os.path.isfile(name):
        return [name]
    elif glob.has_magic(name):
        files = glob.glob(name, recursive=True)
        what = "no image matches this pattern"
    else:
        raise FileNotFoundError(f"{name}: no such file or folder")
    images = sorted(filter(is_image_name, files))
    tell_passed_over(name, files, bool(images), what, say)
    return images


def _listed(name: str) -> list[str]:
    with open(name, encoding="utf-8", errors="surrogateescape") as stream:
        lines = [line.strip() for line in stream]
    images = [line for line in lines if line and not is_hidden(line)]
    tell_passed_over(name, [], bool(images), "no path")
    return [os.path.join(os.path.dirname(name), line) for line in images]


class PathList(Sequence[str]):
    """A sequence of paths in a file, one per line; the file is mapped, not read into memory.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal.
    """

    def __init__(self, file: str) -> None:
        """
        Raises:
            OSError: the file can't be read.
        """
        with open(file, "rb") as stream:
            # An empty file can't be mapped.
            self._bytes = (
                mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
                if os.fstat(stream.fileno()).st_size
                else b""
            )
        self._ends = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == ord("\n"))
        self.digest = hashlib.sha256(self._bytes).hexdigest()

    @staticmethod
    def write(file: str, paths: Sequence[str]) -> None:
        """Writes a file that :class:`PathList` can read."""
        with whole_file(file) as whole:
            whole.writelines(os.fsencode(path) + b"\n" for path in paths)

    @staticmethod
    def digest_of(paths: Sequence[str]) -> str:
        """The digest of a file with these paths, without writing it."""
        digest = hashlib.sha256()
        for path in paths:
            digest.update(os.fsencode(path) + b"\n")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        start = int(self._ends[index - 1]) + 1 if index else 0
        return os.fsdecode(self._bytes[start : int(self._ends[index])])

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))
