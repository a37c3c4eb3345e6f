"""Picture files: their paths, and writing them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from smallobj.image_paths import IMAGE_ENDINGS, is_image_name, path_parts
from smallobj.whole_file import write_whole

# Formats without colour and JPEG 2000, which few programs show, are read but not written.
_PICTURE_ENDINGS = tuple(sorted({*IMAGE_ENDINGS} - {".pgm", ".pbm", ".jp2", ".j2k"}))


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


def plan_pictures(inputs: Sequence[str], output: str) -> list[str]:
    """Paths for the pictures of input images: all different, and none that of an input.

    Args:
        inputs: different image files.
        output: a folder; or, with one input, a file name with an image's ending.

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
        planned = [os.path.join(output, name) for name in _unique_names(inputs)]
    taken = {os.path.realpath(path) for path in inputs}
    for path in planned:
        if os.path.realpath(path) in taken:
            raise ValueError(f"--output {output} would replace the input image {path}")
    return planned


def _unique_names(inputs: Sequence[str]) -> list[str]:
    """File names: the input's own, prefixed by as many folders as make it unique."""
    parts = [path_parts(os.path.abspath(_with_writable_ending(path))) for path in inputs]
    names = [part[-1] for part in parts]
    depth = 1
    while clashing := {name for name in names if names.count(name) > 1}:
        depth += 1
        if depth > max(map(len, parts)):  # such as a_b.jpg and a/b.jpg: prefix numbers instead
            return [f"{number}_{part[-1]}" for number, part in enumerate(parts, 1)]
        names = [
            "_".join(part[-depth:]).strip("_") if name in clashing else name
            for name, part in zip(names, parts, strict=True)
        ]
    return names


def _with_writable_ending(path: str) -> str:
    return path if path.lower().endswith(_PICTURE_ENDINGS) else f"{path}.jpg"
