"""Finds image files from the names that a user gives: files, folders and glob patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"),
    *(".jp2", ".j2k"),
)
_MISSING = "{}: no such file or folder"


def is_image_name(path: str) -> bool:
    """Whether a file's name has the ending of an image format, in upper or lower case.

    >>> is_image_name("photos/a.JPG"), is_image_name("notes.txt")
    (True, False)
    """
    return path.lower().endswith(IMAGE_ENDINGS)


def find_images(inputs: Sequence[str]) -> list[str]:
    """Paths of images, each file once, in the order of ``inputs``.

    Args:
        inputs: files (with any ending), folders (their images, not those of subfolders) and glob
            patterns with ``*``, ``?``, ``[...]`` and ``**``. Images of a folder or pattern are
            sorted.

    Raises:
        FileNotFoundError: a path does not exist, or a folder or pattern has no image.
    """
    found: dict[str, str] = {}
    for path in inputs:
        for image in _expand(path):
            found.setdefault(os.path.realpath(image), image)
    return list(found.values())


def check_inputs(inputs: Sequence[str]) -> None:
    """Raises FileNotFoundError unless each path exists or is a glob pattern."""
    for path in inputs:
        expanded = os.path.expanduser(path)
        if not (os.path.exists(expanded) or glob.has_magic(expanded)):
            raise FileNotFoundError(_MISSING.format(path))


def _expand(path: str) -> list[str]:
    expanded = os.path.expanduser(path)
    if os.path.isfile(expanded):
        return [expanded]
    if os.path.isdir(expanded):
        names = [os.path.join(expanded, name) for name in os.listdir(expanded)]
        rule = f"no image in this folder; an image ends in {', '.join(IMAGE_ENDINGS)}"
    elif glob.has_magic(expanded):
        names = glob.glob(expanded, recursive=True)
        rule = f"no image matches this pattern; an image ends in {', '.join(IMAGE_ENDINGS)}"
    else:
        raise FileNotFoundError(_MISSING.format(path))
    images = sorted(name for name in names if is_image_name(name) and os.path.isfile(name))
    if not images:
        raise FileNotFoundError(f"{path}: {rule}")
    return images


def path_parts(path: str) -> tuple[str, ...]:
    r"""Folders and name of a normalised path, with slashes or backslashes.

    >>> path_parts(r"a\b/c.jpg")
    ('a', 'b', 'c.jpg')
    """
    return tuple(os.path.normpath(path).replace("\\", "/").split("/"))
