"""Where files are written: never outside their folder, never over another one unasked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from smallobj.formats.box_set import BoxSet, ImageBoxes
from smallobj.whole_file import whole_text


@dataclass(frozen=True)
class Target:
    """Where labels or detections are written to.

    Attributes:
        path: the file, or the folder for a file an image.
        images: folder of the images, when it is known.
        coco_images: COCO annotation file whose ids COCO results take.
        overwrite: files that are there already are replaced.
    """

    path: str
    images: str = ""
    coco_images: str = ""
    overwrite: bool = False


def write_file(target: Target, path: str, text: str) -> None:
    """Writes a file as a whole or not at all.

    Raises:
        ValueError: it exists, and may not be replaced.
    """
    check_free(target, path)
    with whole_text(path) as file:
        file.write(text)


def check_free(target: Target, path: str) -> None:
    """
    Raises:
        ValueError: the file exists, and may not be replaced.
    """
    if os.path.exists(path) and not target.overwrite:
        raise ValueError(f"{path}: the file exists already (--overwrite replaces it)")


def label_files(
    boxes: BoxSet, target: Target, ending: str, taken: Sequence[str] = ()
) -> Iterator[tuple[ImageBoxes, str]]:
    """(image, path of its label file): the image's name below the folder, with another ending.

    Raises:
        ValueError: a name leads out of the folder, or two images share a label file, or one
            takes a name of ``taken``, or one exists already. Raised before the first pair is given.
    """
    seen = dict.fromkeys(taken, "another file of this format")
    pairs = []
    for image in boxes.images:
        check_name(image.file)
        # a.jpg and a.png would share a.txt, and one of them would lose its boxes.
        name = os.path.splitext(image.file)[0] + ending
        if name in seen:
            raise ValueError(
                f"{image.file}: each image must have a label file of its own; "
                f"{name} belongs to {seen[name]}"
            )
        seen[name] = image.file
        # Names have "/" on every system.
        path = os.path.join(target.path, *name.split("/"))
        check_free(target, path)
        pairs.append((image, path))
    # From a list: a generator would raise only after files had been written.
    return iter(pairs)


def check_name(file: str) -> None:
    """
    Raises:
        ValueError: the name of an image is not a path below the folder of images.
    """
    # By the rules of both systems: labels may be written on one and read on the other, and "C:" or
    # "..\" leads out of the folder on Windows alone.
    posix, windows = PurePosixPath(file), PureWindowsPath(file)
    outside = ".." in posix.parts or ".." in windows.parts or posix.is_absolute()
    if outside or windows.drive or not posix.name or "\0" in file:
        raise ValueError(
            f"{file!r}: an image must be named by its path below the folder of images "
            "(--images names that folder)"
        )


def class_list(names: Sequence[str]) -> str:
    """Class names as a text with a name a line.

    Raises:
        ValueError: a name that such a text cannot hold.
    """
    for name in names:
        # splitlines, since it ends a line at more characters than "\n"; a reader may do so, too.
        if not name or name != name.strip() or len(name.splitlines()) != 1:
            raise ValueError(
                f"class {name!r}: a list with a name a line takes only names on one line, "
                "without spaces at the ends"
            )
    return "".join(f"{name}\n" for name in names)
