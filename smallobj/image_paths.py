"""Finds image files from the names that a user gives: files, folders and glob patterns."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

# The one list of endings of images that are read; their first bytes say of what kind they are.
IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".gif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpx"),
)
# Endings of camera raw, and of other images that are not read; a folder's are counted and named.
RAW_ENDINGS = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".nef", ".nrw", ".orf"),
    *(".pef", ".raf", ".raw", ".rw2", ".sr2", ".srf", ".srw", ".x3f"),
)
UNREAD_ENDINGS = (
    *RAW_ENDINGS,
    *(".heic", ".heif", ".hif", ".svg", ".svgz", ".psd", ".psb", ".jxl", ".jxr", ".exr", ".hdr"),
    *(".tga", ".pcx", ".xcf", ".eps", ".ico", ".dcm", ".ecw", ".sid", ".vrt"),
)
_MISSING = "{}: no such file or folder"


def is_image_name(path: str) -> bool:
    """Whether a file's name has the ending of an image that is read, in upper or lower case.

    Hidden files have not: beside "a.jpg" the file "._a.jpg" holds what macOS knows of it.

    >>> is_image_name("photos/a.JPG"), is_image_name("notes.txt"), is_image_name("photos/._a.jpg")
    (True, False, False)
    """
    return path.lower().endswith(IMAGE_ENDINGS) and not is_hidden(path)


def is_hidden(path: str) -> bool:
    """Whether the name of a file or folder begins with a dot."""
    return os.path.basename(path).startswith(".")


def passed_over(names: Iterable[str]) -> str:
    """How many files of which ending look like images and are not read; "" if there are none.

    >>> passed_over(["a.jpg", "b.HEIC", "c.heic", "d.NEF", "notes.txt"])
    '2 .heic, 1 .nef'
    """
    endings = Counter(
        os.path.splitext(name)[1].lower()
        for name in names
        if name.lower().endswith(UNREAD_ENDINGS) and not is_hidden(name)
    )
    return ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))


def find_images(inputs: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
    """Paths of images, each file once, in the order of ``inputs``.

    Args:
        inputs: files (with any ending), folders (their images and those of subfolders) and glob
            patterns with ``*``, ``?``, ``[...]`` and ``**``. Images of a folder or pattern are
            sorted; hidden files are passed over.
        say: is called with a sentence for each folder or pattern that holds images that are not
            read.

    Raises:
        FileNotFoundError: a path does not exist, or a folder or pattern has no image.
    """
    found: dict[str, str] = {}
    for path in inputs:
        for image in _expand(path, say):
            found.setdefault(os.path.realpath(image), image)
    return list(found.values())


def check_inputs(inputs: Sequence[str]) -> None:
    """Raises FileNotFoundError unless each path exists or is a glob pattern."""
    for path in inputs:
        expanded = os.path.expanduser(path)
        if not (os.path.exists(expanded) or glob.has_magic(expanded)):
            raise FileNotFoundError(_MISSING.format(path))


def _expand(path: str, say: Callable[[str], None] | None) -> list[str]:
    expanded = os.path.expanduser(path)
    if os.path.isfile(expanded):
        return [expanded]
    if os.path.isdir(expanded):
        names = files_below(expanded)
        what = "no image in this folder"
    elif glob.has_magic(expanded):
        names = glob.glob(expanded, recursive=True)
        what = "no image matches this pattern"
    else:
        raise FileNotFoundError(_MISSING.format(path))
    images = sorted(name for name in names if is_image_name(name) and os.path.isfile(name))
    tell_passed_over(path, names, bool(images), what, say)
    return images


def tell_passed_over(
    path: str,
    names: Iterable[str],
    has_images: bool,
    what: str,
    say: Callable[[str], None] | None = None,
) -> None:
    """Says how many files of a folder or pattern look like images and are not read.

    Args:
        path: the folder or pattern.
        names: all files in it.
        has_images: whether any is read.
        what: says that there is no image.
        say: is called with the sentence.

    Raises:
        FileNotFoundError: there is no image.
    """
    passed = passed_over(names)
    if not has_images:
        also = f"; not read: {passed}" if passed else ""
        raise FileNotFoundError(
            f"{path}: {what}{also}; an image ends in {', '.join(IMAGE_ENDINGS)}"
        )
    if passed and say:
        say(f"{path}: passed over {passed}, formats that are not read")


def path_parts(path: str) -> tuple[str, ...]:
    r"""Folders and name of a normalised path, with slashes or backslashes.

    >>> path_parts(r"a\b/c.jpg")
    ('a', 'b', 'c.jpg')
    """
    return tuple(os.path.normpath(path).replace("\\", "/").split("/"))


def files_below(folder: str) -> list[str]:
    """Paths of the files in a folder and its subfolders, except hidden subfolders.

    Links to folders are followed, but no folder is listed twice. Takes a request per folder, not
    per file: the listing of a folder includes the type of each entry.
    """
    files: list[str] = []
    waiting, seen = [folder], {os.path.realpath(folder)}
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not entry.is_dir():
                    files.extend([entry.path] if entry.is_file() else [])
                elif not entry.name.startswith(".") and os.path.realpath(entry.path) not in seen:
                    seen.add(os.path.realpath(entry.path))
                    waiting.append(entry.path)
    return files


def visible_files(folder: str) -> list[str]:
    """Paths of the files in a folder and below it that are not hidden and in no hidden folder."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [os.path.join(parent, name) for name in names if not is_hidden(name)]
    return found


def leave_out_pictures(paths: Sequence[str], inputs: Sequence[str], output: str) -> list[str]:
    """Images without those in the folder of the output, if this lies below a folder of the input.

    Else a second run would also detect in the pictures that the first one has written.
    """
    folder = os.path.realpath(output)
    roots = [os.path.realpath(os.path.expanduser(path)) for path in inputs]
    if not any(is_below(folder, root) for root in roots) or not os.path.isdir(folder):
        return list(paths)
    return [path for path in paths if not is_below(os.path.realpath(path), folder)]


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder or its subfolders, by name.

    >>> is_below("a/b/c.jpg", "a"), is_below("ab/c.jpg", "a"), is_below("a", "a")
    (True, False, False)
    """
    return path.startswith(os.path.join(folder, ""))


def describe_inputs(paths: Sequence[str], inputs: Sequence[str]) -> str:
    """How many images the folders among ``inputs`` gave; "" without a folder.

    >>> describe_inputs(["/tmp/a.jpg", "/tmp/b/c.jpg"], ["/tmp"])
    '2 images in /tmp, 1 of them in subfolders'
    """
    parts = []
    for folder in filter(os.path.isdir, map(os.path.expanduser, inputs)):
        inside = [path for path in paths if is_below(path, folder)]
        deep = sum(os.path.dirname(path) != folder.rstrip(os.sep) for path in inside)
        plural = "" if len(inside) == 1 else "s"
        tail = f", {deep} of them in subfolders" if deep else ""
        parts.append(f"{len(inside)} image{plural} in {folder}{tail}")
    return "; ".join(parts)
