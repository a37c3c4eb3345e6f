"""Picture files: their paths, and writing them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence

import cv2
import numpy as np

from smallobj.image_paths import is_image_name, path_parts
from smallobj.whole_file import write_whole

# Others are read but not written: they have no colour or few colours, or few programs show them.
_PICTURE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def write_picture(path: str, image: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 BGR in the format of the file's ending.

    Raises:
        ValueError: OpenCV can't write this ending.
    """
    try:
        is_encoded, data = cv2.imencode(os.path.splitext(path)[1], image)
    except cv2.error as error:
        raise ValueError(f"{path}: OpenCV can't write this format: {error.err}") from error
    if not is_encoded:
        raise ValueError(f"{path}: OpenCV could not encode this image")
    write_whole(path, data.tobytes())


def write_picture_somehow(path: str, image: np.ndarray, taken: Collection[str] = ()) -> str:
    """Writes as :func:`write_picture`, or as PNG what the format can't hold, such as a wide WebP.

    Args:
        path: where to write.
        image: (H, W, 3) uint8 BGR.
        taken: paths that belong to other pictures.

    Returns:
        The path of what was written: ``path``, or that with .png behind.
    """
    try:
        write_picture(path, image)
        return path
    except ValueError:
        other = f"{path}.png"
        while other in taken:
            other = f"{other}.png"
        write_picture(other, image)
        return other


def plan_pictures(inputs: Sequence[str], output: str, folders: Sequence[str] = ()) -> list[str]:
    """Paths for the pictures of input images: all different, and none that of an input.

    Args:
        inputs: different image files.
        output: a folder; or, with one input, a file name with an image's ending.
        folders: of the input; the pictures of their subfolders go to subfolders of ``output``.

    Raises:
        ValueError: a file name for several inputs, a format that is not written, or a picture
            would replace an input.
    """
    if is_image_name(output) and not os.path.isdir(output):
        if len(inputs) > 1:
            raise ValueError(
                f"--output {output} is one file and there are {len(inputs)} input images; "
                "give a folder"
            )
        if not output.lower().endswith(_PICTURE_ENDINGS):
            raise ValueError(
                f"--output must end in one of {', '.join(_PICTURE_ENDINGS)}; got {output}"
            )
        planned = [output]
    else:
        planned = [os.path.join(output, name) for name in _unique_names(inputs, folders)]
    taken = {os.path.realpath(path) for path in inputs}
    for path in planned:
        if os.path.realpath(path) in taken:
            raise ValueError(f"--output {output} would replace the input image {path}")
    return planned


def _unique_names(inputs: Sequence[str], folders: Sequence[str]) -> list[str]:
    """File names: the input's own below its folder, prefixed by as many folders as needed."""
    parts = [path_parts(os.path.abspath(_with_writable_ending(path))) for path in inputs]
    depths = _depths(parts, folders)
    lengths = list(depths)
    while True:
        names = [_name(*row) for row in zip(parts, depths, lengths, strict=True)]
        clashing = _clashing(names)
        if not clashing:
            return names
        rows = [n for n, name in enumerate(names) if name in clashing]
        if all(lengths[n] >= len(parts[n]) for n in rows):
            break
        for n in rows:
            lengths[n] += 1
    # Such as a_b.jpg and a/b.jpg: prefix numbers instead.
    own = [_name(*row) for row in zip(parts, depths, depths, strict=True)]
    split = map(os.path.split, own)
    return [os.path.join(head, f"{number}_{tail}") for number, (head, tail) in enumerate(split, 1)]


def _depths(parts: Sequence[tuple[str, ...]], folders: Sequence[str]) -> list[int]:
    """How many parts of each path lie below one of the folders; 1 for a path in none of them."""
    roots = [path_parts(os.path.abspath(os.path.expanduser(folder))) for folder in folders]
    return [
        min((len(part) - len(root) for root in roots if part[: len(root)] == root), default=1) or 1
        for part in parts
    ]


def _name(part: tuple[str, ...], depth: int, length: int) -> str:
    """The last ``depth`` parts of a path, the first of them prefixed by those before it."""
    used = part[-length:]
    first = len(used) - depth + 1
    return os.path.join("_".join(used[:first]).strip("_"), *used[first:])


def _clashing(names: Sequence[str]) -> set[str]:
    """Names that occur twice, or that are also a folder of another name."""
    folders = {os.path.dirname(name) for name in names}
    while above := {os.path.dirname(folder) for folder in folders} - folders:
        folders |= above
    return {name for name, count in Counter(names).items() if count > 1 or name in folders}


def _with_writable_ending(path: str) -> str:
    return path if path.lower().endswith(_PICTURE_ENDINGS) else f"{path}.jpg"
