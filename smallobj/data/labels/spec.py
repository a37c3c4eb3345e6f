"""Description of a dataset in one string: ``NAME=FORMAT:ANNOTATIONS[:IMAGES[:CLASSES]]``."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a format's string consists of.

    Attributes:
        annotations: what the first part is; "" if it may be empty, for photographs without labels.
        images: whether a folder of images is needed; else it is the folder of the annotations.
            None: there is no such part.
        classes: whether a class file is needed; None: there is no such part.
        has_splits: one string stands for several datasets, NAME_train, NAME_val and so on; the part
            behind the annotations chooses one of them.
    """

    annotations: str = ""
    images: bool | None = True
    classes: bool | None = False
    has_splits: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts behind the format."""
        if self.has_splits:
            return ("annotations", "split")
        names = ("annotations", "images", "classes")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def fewest(self) -> int:
        """Number of parts that must be written."""
        return 1 + (self.images is True) + (self.classes is True)


_FILE, _FOLDER = "an annotation file", "a folder of annotation files"
LAYOUTS = {
    "challenge": Layout(),
    "coco": Layout("an annotation file, which lists the images", classes=None),
    "yolo": Layout(classes=True),
    "ultralytics": Layout("a data.yaml", None, None, has_splits=True),
    "roboflow": Layout("a folder with _annotations.coco.json", None, None, has_splits=True),
    "voc": Layout(_FOLDER),
    "visdrone": Layout(_FOLDER),
    "dota": Layout(_FOLDER),
    "aitod": Layout(_FOLDER),
    "soda": Layout(_FOLDER),
    "xview": Layout(_FILE),
    "labelme": Layout(_FOLDER, images=False),
    "cvat": Layout(_FILE),
    "labelstudio": Layout(_FILE),
    "csv": Layout(_FILE, images=False),
}
FORMATS = tuple(LAYOUTS)
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
        split: which of several datasets in one place, such as "train"; "" where there is one.
    """

    name: str
    format: str
    annotations: str
    images: str = ""
    classes: str = ""
    split: str = ""

    def __str__(self) -> str:
        if self.split:
            return f"{self.name}={self.format}:{self.annotations}:{self.split}"
        text = f"{self.name}={self.format}:{self.annotations}:{self.images}"
        return f"{text}:{self.classes}" if self.classes else text.rstrip(":")


def datasets_root() -> str:
    """Folder of relative paths: the environment variable DETECTRON2_DATASETS, or ./datasets."""
    return os.path.abspath(os.path.expanduser(os.getenv("DETECTRON2_DATASETS") or "datasets"))


def _resolve(path: str) -> str:
    path = os.path.expanduser(path.strip())
    if not path:
        return ""
    found = os.path.normpath(os.path.join(datasets_root(), path))
    here = os.path.abspath(path)
    # As a shell has it, where there is nothing at the usual place.
    return here if _is_there(here) and not _is_there(found) else found


def _is_there(path: str) -> bool:
    # Behind a "?" stands what the columns of a table hold.
    return os.path.exists(path) or os.path.exists(path.partition("?")[0])


def _folder_of(path: str) -> str:
    return path if os.path.isdir(path) else os.path.dirname(path.partition("?")[0])


def parse_spec(spec: str) -> DatasetSpec:
    """Parses a dataset string such as ``"bolts_train=coco:bolts/train.json:bolts/images"``.

    Relative paths are relative to DETECTRON2_DATASETS (default ./datasets), or to the working
    directory if only there is such a file. A path may hold colons, if it is there.

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
    form, colon, places = rest.partition(":")
    form = form.strip()
    if not equals or not colon:
        raise ValueError(f"a dataset is written {_SHAPE}; got {spec!r}")
    if not re.fullmatch(r"[\w.\-]+", name):
        raise ValueError(
            "a dataset's name is made of letters, digits, '_', '-' and '.'; "
            f"got {name!r} in {spec!r}"
        )
    if form not in LAYOUTS:
        raise ValueError(
            f"unknown dataset format {form!r} in {spec!r}; known are {', '.join(FORMATS)}"
        )
    layout = LAYOUTS[form]
    words = [word.strip() for word in places.split(":")]
    parts = _found_parts(words, layout)
    if not layout.fewest <= len(parts) <= len(layout.parts):
        _refuse_number(form, layout, len(parts), spec)
    fields = dict(zip(layout.parts, parts, strict=False))
    split = fields.pop("split", "")
    paths = {key: _resolve(value) for key, value in fields.items()}
    if layout.images is False and not paths.get("images"):
        paths["images"] = _folder_of(paths["annotations"])
    parsed = DatasetSpec(name, form, **paths, split=split)
    _check_parts(parsed, spec)
    return parsed


def _found_parts(words: Sequence[str], layout: Layout) -> Sequence[str]:
    """The words as parts; joined by colons where one way of joining fits best what is there."""
    if layout.fewest <= len(words) <= len(layout.parts) and _likelihood(words, layout) == 1:
        return words
    ways = {
        tuple(parts): _likelihood(parts, layout)
        for number in range(layout.fewest, min(len(layout.parts), len(words)) + 1)
        for parts in _joined(words, number)
    }
    best = max(ways.values(), default=0)
    likeliest = [parts for parts, value in ways.items() if value == best]
    return likeliest[0] if best > 0 and len(likeliest) == 1 else words


def _likelihood(parts: Sequence[str], layout: Layout) -> float:
    """1 if all is there, less if for some only its folder is, 0 if one is nowhere."""
    paths = [_resolve(path) for path in (parts[:1] if layout.has_splits else parts) if path]
    found = [
        1.0 if _is_there(path) else 0.5 if os.path.isdir(os.path.dirname(path)) else 0.0
        for path in paths
    ]
    return sum(found) / len(found) if found and all(found) else 0.0


def _joined(words: Sequence[str], number: int) -> Iterator[list[str]]:
    for cuts in itertools.combinations(range(1, len(words)), number - 1):
        edges = (0, *cuts, len(words))
        yield [":".join(words[a:b]) for a, b in itertools.pairwise(edges)]


def _refuse_number(form: str, layout: Layout, number: int, spec: str) -> None:
    needed = "".join(f":{name.upper()}" for name in layout.parts[: layout.fewest])
    optional = "".join(f"[:{name.upper()}]" for name in layout.parts[layout.fewest :])
    if form == "yolo" and number < layout.fewest:
        raise ValueError(
            "format yolo needs a fourth part, the file with the class names (data.yaml, .json, "
            f"or .txt with one name per line); got {spec!r} (a data.yaml that names its splits "
            "is of the format ultralytics)"
        )
    if form == "coco" and number == 3:
        raise ValueError(
            "format coco takes its classes from the annotation file; "
            f"got a classes file in {spec!r}"
        )
    raise ValueError(f"a dataset is written NAME={form}{needed}{optional}; got {spec!r}")


def _check_parts(parsed: DatasetSpec, spec: str) -> None:
    layout = LAYOUTS[parsed.format]
    if layout.annotations and not parsed.annotations:
        raise ValueError(f"format {parsed.format} needs {layout.annotations}; got {spec!r}")
    if layout.images and not parsed.images:
        raise ValueError(f"a dataset needs a folder of images; got none in {spec!r}")
    if layout.classes and not parsed.classes:
        _refuse_number(parsed.format, layout, layout.fewest - 1, spec)
