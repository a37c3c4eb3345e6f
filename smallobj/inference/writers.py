"""Where detections go: JSON, CSV, COCO results, picture files, videos."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from detectron2.structures import Instances

from smallobj.data.image_paths import IMAGE_ENDINGS, is_image_name
from smallobj.inference.result_files import ImageDetections, ResultFiles, WholeFile

# Formats without colour, and one that few programs show, are read but not written.
_PICTURE_ENDINGS = tuple(sorted({*IMAGE_ENDINGS} - {".pgm", ".pbm", ".jp2", ".j2k"}))


class CocoIds:
    """Image and category ids of COCO results: those of an annotation file, or plain numbers.

    Without a file an image's id is its place among the inputs, from 1, and a category's id is the
    class's number plus 1, which is how COCO itself counts.
    """

    def __init__(self, annotation_file: str | None = None) -> None:
        """
        Raises:
            FileNotFoundError, ValueError: no such file, or no COCO JSON.
        """
        self.file = annotation_file
        self._images: list[tuple[tuple[str, ...], int]] = []
        self._categories: dict[str, int] = {}
        if annotation_file is None:
            return
        if not os.path.isfile(annotation_file):
            raise FileNotFoundError(f"{annotation_file}: no such COCO annotation file")
        try:
            with open(annotation_file, encoding="utf-8") as stream:
                content = json.load(stream)
            images = [(_parts(str(entry["file_name"])), entry["id"]) for entry in content["images"]]
            self._categories = {entry["name"]: entry["id"] for entry in content["categories"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{annotation_file}: must be COCO JSON with images (id, file_name) and categories "
                f"(id, name); got {type(error).__name__}: {error}"
            ) from error
        # The longest name first: of a/1.jpg and 1.jpg the former says more.
        self._images = sorted(images, key=lambda image: -len(image[0]))

    def image_ids(self, paths: Sequence[str]) -> list[int]:
        """
        Raises:
            ValueError: an image that the annotation file doesn't list.
        """
        if self.file is None:
            return list(range(1, len(paths) + 1))
        by_name: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for image in self._images:
            by_name.setdefault(image[0][-1], []).append(image)
        ids = []
        for path in paths:
            parts = _parts(os.path.abspath(path))
            candidates = by_name.get(parts[-1], [])
            match = next((i for name, i in candidates if parts[-len(name) :] == name), None)
            if match is None:
                raise ValueError(f"{path}: {self.file} lists no image of this name")
            ids.append(match)
        return ids

    def category_ids(self, class_names: Sequence[str]) -> list[int]:
        """
        Raises:
            ValueError: a class that the annotation file doesn't list.
        """
        if self.file is None:
            return list(range(1, len(class_names) + 1))
        missing = [name for name in class_names if name not in self._categories]
        if missing:
            raise ValueError(
                f"{self.file} has no category for the model's {', '.join(missing)}; "
                f"it has {', '.join(self._categories)}"
            )
        return [self._categories[name] for name in class_names]


def _parts(path: str) -> tuple[str, ...]:
    return tuple(os.path.normpath(path).replace("\\", "/").split("/"))


class DetectionLog:
    """Collects detections and writes them, whole or not at all, in up to three formats."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)
        # Ids in COCO results, by class; see CocoIds.
        self.category_ids = CocoIds().category_ids(class_names)
        self.images: list[ImageDetections] = []

    def add(self, file: str, image_id: int, instances: Instances) -> None:
        """Takes an image's detections, on the CPU, in its pixels."""
        self.images.append(ImageDetections.from_instances(file, image_id, instances))

    def rows(self) -> list[tuple[Any, ...]]:
        """(file, class id, class name, score, x1, y1, x2, y2) of every detection."""
        return [row for image in self.images for row in image.rows(self.class_names)]

    def write(self, json_file: str | None, csv_file: str | None, coco_file: str | None) -> None:
        """Writes the files that are named; one of that name is replaced once the new is whole."""
        files = ResultFiles(self.class_names, self.category_ids, json_file, csv_file, coco_file)
        with files:
            for image in self.images:
                files.add(image)


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


def write_picture(path: str, image: np.ndarray) -> None:
    """Encodes (H, W, 3) uint8 BGR by the file's ending.

    Raises:
        ValueError: OpenCV can't write this ending.
    """
    try:
        is_encoded, data = cv2.imencode(os.path.splitext(path)[1], image)
    except cv2.error as error:
        raise ValueError(f"{path}: OpenCV writes no such image: {error.err}") from error
    if not is_encoded:
        raise ValueError(f"{path}: OpenCV could not encode this image")
    write_whole(path, data.tobytes())


def plan_pictures(inputs: Sequence[str], output: str) -> list[str]:
    """Where the picture of each input image goes: no two to the same file, none onto an input.

    Args:
        inputs: different image files.
        output: a folder; or, with one input, a file with an image's ending.

    Raises:
        ValueError: a file for several inputs or of a format without colour, or a picture would
            replace an input.
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
    """File names: an input's own, or as much of its folders before it as tells it from others."""
    parts = [_parts(os.path.abspath(_with_writable_ending(path))) for path in inputs]
    names = [part[-1] for part in parts]
    depth = 1
    while clashing := {name for name in names if names.count(name) > 1}:
        depth += 1
        if depth > max(map(len, parts)):  # a_b.jpg beside a/b.jpg: numbers tell them apart
            return [f"{number}_{part[-1]}" for number, part in enumerate(parts, 1)]
        names = [
            "_".join(part[-depth:]).strip("_") if name in clashing else name
            for name, part in zip(names, parts, strict=True)
        ]
    return names


def _with_writable_ending(path: str) -> str:
    return path if path.lower().endswith(_PICTURE_ENDINGS) else f"{path}.jpg"
