"""What a user says of a table's columns: ``FILE.csv?file=NAME&class=NAME&x1=NAME...``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from urllib.parse import unquote

from smallobj.checks import check_choice

# What a column may hold. A bbox is a cell of four numbers, a shape one of the VGG annotator.
CORNERS, SIDES, CENTRE = ("x1", "y1", "x2", "y2"), ("w", "h"), ("cx", "cy")
ROLES = (
    *("file", "class", "class_id", "score", "crowd", "set", "width", "height"),
    *(*CORNERS, *SIDES, *CENTRE, "bbox", "shape", "attributes"),
)
FORMS = ("xywh", "xyxy", "cxcywh")
_SWITCHES = {"yes": True, "no": False}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


@dataclasses.dataclass(frozen=True)
class CsvOptions:
    """The choices; what is left out is found out.

    Attributes:
        columns: name or number (from 1) of a column by what it holds.
        box: what the four numbers of a bbox are, one of ``FORMS``; "" for xywh.
        relative: whether coordinates are shares of the image's sides.
        header: whether the first line names the columns.
        delimiter: between cells.
        only: the rows of a set that count; "all" for those of all sets.
        key: the attribute of the VGG annotator's regions that is the class.
    """

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    box: str = ""
    relative: bool | None = None
    header: bool | None = None
    delimiter: str = ""
    only: str = ""
    key: str = ""


def split_options(path: str) -> tuple[str, CsvOptions]:
    """Path of a table, and what is said behind a "?" of it.

    Raises:
        ValueError: a choice is unknown.

    >>> split_options("a.csv?x1=left&relative=yes")[1].columns
    {'x1': 'left'}
    """
    file, mark, text = path.partition("?")
    # A question mark may be part of a name.
    if not mark or os.path.exists(path):
        return path, CsvOptions()
    return file, _parsed(text, path)


def _parsed(text: str, path: str) -> CsvOptions:
    columns: dict[str, str] = {}
    choices: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = (unquote(word).strip() for word in part.partition("="))
        known = (*ROLES, *(field.name for field in dataclasses.fields(CsvOptions)[1:]))
        check_choice(f"what is said of the columns in {path!r}", name, known)
        if not value:
            raise ValueError(f"{name} needs a value; got {part!r} in {path!r}")
        (columns if name in ROLES else choices)[name] = value
    for name, allowed in (
        ("box", FORMS),
        ("relative", _SWITCHES),
        ("header", _SWITCHES),
        ("delimiter", DELIMITERS),
    ):
        if name in choices:
            check_choice(f"{name} in {path!r}", choices[name], allowed)
    return CsvOptions(
        columns,
        choices.get("box", ""),
        _SWITCHES.get(choices.get("relative", "")),
        _SWITCHES.get(choices.get("header", "")),
        DELIMITERS.get(choices.get("delimiter", ""), ""),
        choices.get("only", ""),
        choices.get("key", ""),
    )
