"""Description of a dataset in one string: ``NAME=FORMAT:ANNOTATIONS:IMAGES[:CLASSES]``."""

from __future__ import annotations

import dataclasses
import os
import re

FORMATS = ("challenge", "coco", "yolo")
_SHAPE = "NAME=FORMAT:ANNOTATIONS:IMAGES or NAME=FORMAT:ANNOTATIONS:IMAGES:CLASSES"


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """Location and format of a dataset.

    Attributes:
        name: name in DatasetCatalog.
        format: one of ``FORMATS``.
        annotations: label file, or for yolo the folder of label files; "" if there are none.
        images: folder of the images.
        classes: file with the class names; "" if the format or the labels give them.
    """

    name: str
    format: str
    annotations: str
    images: str
    classes: str = ""

    def __str__(self) -> str:
        text = f"{self.name}={self.format}:{self.annotations}:{self.images}"
        return f"{text}:{self.classes}" if self.classes else text


def datasets_root() -> str:
    """Folder of relative paths: the environment variable DETECTRON2_DATASETS, or ./datasets."""
    return os.path.abspath(os.path.expanduser(os.getenv("DETECTRON2_DATASETS") or "datasets"))


def _resolve(path: str) -> str:
    path = path.strip()
    if not path:
        return ""
    return os.path.normpath(os.path.join(datasets_root(), os.path.expanduser(path)))


def parse_spec(spec: str) -> DatasetSpec:
    """Parses a dataset string such as ``"bolts_train=coco:bolts/train.json:bolts/images"``.

    Relative paths are relative to DETECTRON2_DATASETS (default ./datasets).

    Raises:
        ValueError: the string is malformed, the format is unknown, or a part that the format needs
            is missing.

    >>> parse_spec("bolts=coco:/data/bolts.json:/data/images").images
    '/data/images'
    """
    if not isinstance(spec, str):
        raise ValueError(f"a dataset is a string {_SHAPE}; got {spec!r}")
    name, equals, rest = spec.partition("=")
    name = name.strip()
    parts = [part.strip() for part in rest.split(":")]
    if not equals or len(parts) not in (3, 4):
        raise ValueError(f"a dataset is written {_SHAPE}; got {spec!r}")
    if not re.fullmatch(r"[\w.\-]+", name):
        raise ValueError(
            "a dataset's name is made of letters, digits, '_', '-' and '.'; "
            f"got {name!r} in {spec!r}"
        )
    if parts[0] not in FORMATS:
        raise ValueError(
            f"unknown dataset format {parts[0]!r} in {spec!r}; known are {', '.join(FORMATS)}"
        )
    parsed = DatasetSpec(name, parts[0], *(_resolve(part) for part in parts[1:]))
    _check_parts(parsed, spec)
    return parsed


def _check_parts(parsed: DatasetSpec, spec: str) -> None:
    if not parsed.images:
        raise ValueError(f"a dataset needs a folder of images; got none in {spec!r}")
    if parsed.format == "coco" and not parsed.annotations:
        raise ValueError(
            f"format coco needs an annotation file, which lists the images; got {spec!r}"
        )
    if parsed.format == "coco" and parsed.classes:
        raise ValueError(
            "format coco takes its classes from the annotation file; "
            f"got a classes file in {spec!r}"
        )
    if parsed.format == "yolo" and not parsed.classes:
        raise ValueError(
            "format yolo needs a fourth part, the file with the class names (data.yaml, .json, "
            f"or .txt with one name per line); got {spec!r}"
        )
