"""This project's JSON results, a file of all images or a line an image (.jsonl).

``{"images": [{"file", "width", "height", "detections": [{"class", "class_id", "score", "box": [x1,
y1, x2, y2]}]}], "classes": [...]}``; where masks are found, each detection has one, too: "mask",
COCO's run-length code. In a .jsonl each detection carries its class's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import numpy as np

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.reading import read_json_lines
from smallobj.formats.detections.result_columns import ResultColumns, entry_names
from smallobj.formats.detections.unknown_images import NamedImages
from smallobj.geometry.masks import Rle

IMAGE_RULE = "an image must be an object with a text file and a list detections"
DETECTION_RULE = "a detection must be an object with class_id, box and score"
CLASSES_RULE = "classes must be a list of texts"
SIZE_RULE = "width and height must be those of the image in the data set"


# Without line breaks: the encoder that sets them is slow, and a million images wait for it.
_json = json.JSONEncoder(ensure_ascii=False).encode


def own_detection(
    class_name: str,
    class_id: int,
    score: float | None,
    box: Sequence[float],
    mask: Rle | None = None,
) -> dict[str, Any]:
    """One detection; ``box`` is XYXY in pixels, ``mask`` its run-length code.

    A score of None marks a label.
    """
    detection = {"class": class_name, "class_id": class_id, "score": score, "box": box}
    return detection if mask is None else {**detection, "mask": mask}


def image_entry(
    file: str, height: int, width: int, detections: list[dict[str, Any]]
) -> dict[str, Any]:
    """One image; ``detections`` as :func:`own_detection` makes them."""
    return {"file": file, "width": width, "height": height, "detections": detections}


class OwnResultsWriter:
    """Writes a file image by image, a line for each detection: any number of them fits."""

    def __init__(
        self, stream: TextIO, class_names: Sequence[str], category_ids: Sequence[int] = ()
    ) -> None:
        """
        Args:
            stream: opened for text.
            class_names: K names.
            category_ids: K ids of a COCO file, or none.
        """
        self._category_ids = list(category_ids)
        self._stream = stream
        self._class_names = list(class_names)
        self._images = 0
        stream.write('{"images": [')

    def add(self, file: str, height: int, width: int, detections: Iterable[dict[str, Any]]) -> None:
        """Writes an image behind those before it.

        Args:
            file, height, width: of the image.
            detections: in it, as :func:`own_detection` makes them.
        """
        self._stream.write(",\n" if self._images else "\n")
        # An empty image without its end: detections follow one by one, so that they need not all be
        # in memory as text.
        self._stream.write(_json(image_entry(file, height, width, []))[: -len("]}")])
        separator, last = "\n ", "]}"
        for detection in detections:
            self._stream.write(separator + _json(detection))
            separator, last = ",\n ", "\n]}"
        self._stream.write(last)
        self._images += 1

    def close(self) -> None:
        """Writes the end; the stream stays open."""
        ids = f', "category_ids": {_json(self._category_ids)}' if self._category_ids else ""
        self._stream.write(f'\n], "classes": {_json(self._class_names)}{ids}}}\n')


def read_lines(path: str, log: ProblemLog) -> dict[str, Any] | None:
    """Content of a .jsonl file as that of a JSON file, None after reporting what is wrong."""
    images = read_json_lines(path, log)
    return None if images is None else {"images": images, "classes": _ClassNames(images)}


def names_in(images: list[Any]) -> dict[int, str]:
    """Class names by class id, as detections carry them."""
    return _ClassNames(images)


class _ClassNames(dict[int, str]):
    """Names by class id of a .jsonl, where each detection carries its own.

    A type of its own: a JSON file's list ``classes`` may be wrongly a dict.
    """

    def __init__(self, images: list[Any]) -> None:
        super().__init__()
        for image in images:
            found = image.get("detections") if isinstance(image, dict) else None
            for detection in found if isinstance(found, list) else []:
                if (
                    _is_object(detection)
                    and type(detection["class_id"]) is int
                    and detection["class_id"] >= 0
                ):
                    self.setdefault(detection["class_id"], str(detection.get("class", "")))


def columns(
    content: dict[str, Any], images: NamedImages, sizes: np.ndarray, class_names: Sequence[str]
) -> ResultColumns | None:
    """The detections as columns; None if the classes cannot be determined.

    Args:
        content: of a file, or as :func:`read_lines` gives it.
        images: of the data set.
        sizes: (I, 2) of these, (h, w).
        class_names: K names of the data set's classes.
    """
    path, log = images.path, images.log
    # Without a list of its own the file is taken to number the data set's classes.
    names = content.get("classes", list(class_names))
    if not isinstance(names, _ClassNames):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            log.report(path, "classes", CLASSES_RULE, shown(names))
            return None
        names = dict(enumerate(names))
    known = {name: k for k, name in enumerate(class_names)}
    # By name, not by number: a model may have its classes in another order, or further ones.
    classes = {index: known[name] for index, name in names.items() if name in known}
    entries: list[tuple[str, int]] = []
    found = ResultColumns(entry_names(entries), classes, corners=True)
    for at, image in enumerate(content["images"]):
        where = f"images[{at}]"
        if isinstance(image, dict) and "error" in image and "detections" not in image:
            continue  # tools/detect.py could not read it
        if not isinstance(image, dict) or not (
            isinstance(image.get("file"), str) and isinstance(image.get("detections"), list)
        ):
            log.report(path, where, IMAGE_RULE, shown(image))
            continue
        place, count = f"{where} ({image['file']})", len(image["detections"])
        number = images.number(image["file"], place, count)
        if number is None:
            continue
        _check_size(image, where, sizes[number].tolist(), path, log)
        # What lacks a key is left out of all columns at once, so that they stay equally long.
        good = [i for i, detection in enumerate(image["detections"]) if _is_object(detection)]
        for i in sorted(set(range(len(image["detections"]))) - set(good)):
            value = shown(image["detections"][i])
            log.report(path, f"{where}.detections[{i}]", DETECTION_RULE, value)
        rows = [image["detections"][i] for i in good]
        entries += [(f"{where}.detections", i) for i in good]
        found.images += [number] * len(rows)
        found.categories += [row["class_id"] for row in rows]
        found.boxes += [row["box"] for row in rows]
        found.scores += [row["score"] for row in rows]
    return found


def _is_object(one: Any) -> bool:
    return isinstance(one, dict) and "class_id" in one and "box" in one and "score" in one


def _check_size(
    image: dict[str, Any], where: str, size: list[int], path: str, log: ProblemLog
) -> None:
    given = (image.get("height", size[0]), image.get("width", size[1]))
    if given != tuple(size):
        value = f"{given[1]!r} wide, {given[0]!r} high; the image is {size[1]} and {size[0]}"
        log.report(path, f"{where} ({image['file']})", SIZE_RULE, value)
