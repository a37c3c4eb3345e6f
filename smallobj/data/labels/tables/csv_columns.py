"""Which column of a table holds what: by the names that tools and people use, or as told."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence

from smallobj.data.labels.tables.csv_options import CENTRE, CORNERS, SIDES, CsvOptions

# By what they hold, the groups in the order in which they count; names without case, blanks and
# marks between words. Two of one group would be two answers to one question.
_NAMES: dict[str, tuple[str, ...]] = {
    "file": (
        "filename file filepath imagefile imagefilename imagefilepath imagename imagepath imgname "
        "imgpath imgfile path uri url imageuri imageurl",
        "image img photo picture frame",
        "imageid imgid",
    ),
    "class": (
        "classname labelname categoryname objectname",
        "class label category object cls tag displayname",
        "name type",
    ),
    "class_id": ("classid labelid categoryid classindex labelindex classnumber",),
    "score": ("score confidence conf prob probability",),
    "crowd": ("iscrowd crowd isgroupof",),
    "set": ("set split subset mluse usage partition",),
    "width": ("imagewidth imgwidth imwidth",),
    "height": ("imageheight imgheight imheight",),
    # Of the box or of the image: the other columns tell.
    "width?": ("width",),
    "height?": ("height",),
    "x1": (
        "x1 xmin minx left xleft xtl bboxxmin bboxx1 bboxleft startx xstart topleftx",
        "x bboxx",
    ),
    "y1": ("y1 ymin miny top ytop ytl bboxymin bboxy1 bboxtop starty ystart toplefty", "y bboxy"),
    "x2": ("x2 xmax maxx right xright xbr bboxxmax bboxx2 bboxright endx xend bottomrightx",),
    "y2": ("y2 ymax maxy bottom ybottom ybr bboxymax bboxy2 bboxbottom endy yend bottomrighty",),
    "w": ("w boxwidth bboxwidth bboxw bw",),
    "h": ("h boxheight bboxheight bboxh bh",),
    "cx": ("cx xcenter xcentre centerx centrex xc bboxxcenter",),
    "cy": ("cy ycenter ycentre centery centrey yc bboxycenter",),
    "bbox": ("bbox box boundingbox bboxes boxes annotations",),
    "shape": ("regionshapeattributes",),
    "attributes": ("regionattributes",),
}
# Both are needed; either alone is another thing.
_ZERO_BASED = {"x0": "x1", "y0": "y1", "x1": "x2", "y1": "y2"}
_BOX_FORMS = {
    "xyxy": CORNERS,
    "cxcywh": (*CENTRE, *SIDES),
    "xywh": (*CORNERS[:2], *SIDES),
    "bbox": ("bbox",),
    "shape": ("shape",),
}
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")
_SETS = ("train", "training", "validate", "validation", "val", "test", "unassigned")
# Places of the first of AutoML's eight cells of corners.
_AUTOML_CELLS = 8


class UnclearColumnsError(ValueError):
    """The columns cannot be told apart; says what is unclear, and what to say."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where a table holds what.

    Attributes:
        places: number of a column, from 0, by what it holds.
        form: which of these make a box: "xyxy", "xywh", "cxcywh", "bbox" or "shape".
        has_header: the first line names the columns.
        names: of the columns.
    """

    places: Mapping[str, int]
    form: str
    has_header: bool
    names: Sequence[str]

    def __str__(self) -> str:
        parts = [f"{role} from {self.names[place]!r}" for role, place in self.places.items()]
        return f"{', '.join(parts)}; boxes are {self.form}"

    def cell(self, cells: Sequence[str], role: str) -> str:
        """What a row says, "" where the table has no such column."""
        return cells[self.places[role]].strip() if role in self.places else ""

    @functools.cached_property
    def box(self) -> list[int]:
        """Places of the box's cells."""
        return [self.places[role] for role in _BOX_FORMS[self.form]]


def find_columns(first: Sequence[str], options: CsvOptions) -> Columns:
    """The columns of a table.

    Args:
        first: cells of its first line.
        options: what the user says of them.

    Raises:
        UnclearColumnsError: they cannot be told.

    >>> columns = find_columns(["filename", "class", "xmin", "ymin", "xmax", "ymax"], CsvOptions())
    >>> columns.form, columns.box
    ('xyxy', [2, 3, 4, 5])
    """
    if options.header is not True:
        known = _without_header(first)
        if known is not None and not options.columns:
            return known
    if options.header is False or (options.header is None and _are_data(first)):
        numbered = [f"column {number}" for number in range(1, len(first) + 1)]
        return _columns({}, first, options, False, numbered)
    return _columns(_named(first, options), first, options, True, first)


def _without_header(first: Sequence[str]) -> Columns | None:
    """Columns of the tables that have no header: keras-retinanet's and AutoML's."""
    numbered = [f"column {number}" for number in range(1, len(first) + 1)]
    if len(first) == 6 and _are_numbers(first[1:5]) and not _NUMBER.fullmatch(first[0]):
        places = {"file": 0, "class": 5, "x1": 1, "y1": 2, "x2": 3, "y2": 4}
        return Columns(places, "xyxy", False, numbered)
    start = len(first) - _AUTOML_CELLS
    has_set = start == 3 and first[0].strip().lower() in _SETS
    if not (start == 2 or has_set) or not _are_numbers([*first[start : start + 2], *first[-4:-2]]):
        return None
    places = {"file": start - 2, "class": start - 1}
    places |= {"x1": start, "y1": start + 1, "x2": start + 4, "y2": start + 5}
    return Columns(places | ({"set": 0} if has_set else {}), "xyxy", False, numbered)


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether the cells are numbers, or all empty: an image without objects."""
    texts = [cell.strip() for cell in cells]
    return all(map(_NUMBER.fullmatch, texts)) or not any(texts)


def _are_data(first: Sequence[str]) -> bool:
    """Whether a first line is a row: several of its cells are numbers."""
    return sum(bool(_NUMBER.fullmatch(cell.strip())) for cell in first) >= 3


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _named(first: Sequence[str], options: CsvOptions) -> dict[str, int]:
    """Places by what the names of the columns say, without those that the user names."""
    plain = [_plain(name) for name in first]
    if {"x0", "y0"} <= set(plain) and {"x1", "y1"} <= set(plain):
        plain = [_ZERO_BASED.get(name, name) for name in plain]
    places: dict[str, int] = {}
    for role, groups in _NAMES.items():
        if role in options.columns:
            continue
        for group in groups:
            found = [at for at, name in enumerate(plain) if name in group.split()]
            if len(found) > 1:
                texts = " or ".join(repr(first[at]) for at in found)
                raise UnclearColumnsError(
                    f"{texts} may be the column of {role}; say ?{role}=NAME behind the file"
                )
            if found:
                places[role] = found[0]
                break
    return places


def _columns(
    places: dict[str, int],
    first: Sequence[str],
    options: CsvOptions,
    has_header: bool,
    names: Sequence[str],
) -> Columns:
    for role, column in options.columns.items():
        places[role] = _place(column, first, has_header)
    form = _form(places, options)
    if "file" not in places:
        raise UnclearColumnsError(
            f"no column names the image in {list(first)}; say ?file=NAME behind the file"
        )
    if not form:
        raise UnclearColumnsError(
            f"no columns of a box in {list(first)}; say ?x1=NAME&y1=NAME&x2=NAME&y2=NAME, or w and "
            "h or cx, cy, w and h, or bbox, behind the file"
        )
    return Columns(places, form, has_header, names)


def _place(column: str, first: Sequence[str], has_header: bool) -> int:
    """Number of a column, given by its name or by its number from 1."""
    names = [name.strip() for name in first] if has_header else []
    if column in names:
        return names.index(column)
    lower = [name.lower() for name in names]
    if lower.count(column.lower()) == 1:
        return lower.index(column.lower())
    if column.isascii() and column.isdigit() and 1 <= int(column) <= len(first):
        return int(column) - 1
    raise UnclearColumnsError(f"there is no column {column!r} in {list(first)}")


def _form(places: dict[str, int], options: CsvOptions) -> str:
    """What makes a box; sorts out whether width and height are the box's or the image's."""
    told = set(options.columns)
    forms = [form for form, roles in _BOX_FORMS.items() if set(roles) <= told]
    if not forms and _has(places, CORNERS):
        forms = ["xyxy"]
    unclear = [places.pop(name, None) for name in ("width?", "height?")]
    start = "cxcywh" if _has(places, CENTRE) else "xywh" if _has(places, CORNERS[:2]) else ""
    # Beside one corner or the centre alone they can only be the box's.
    is_of_box = not forms and bool(start) and not _has(places, SIDES)
    for role, of_box, place in zip(("width", "height"), SIDES, unclear, strict=True):
        if place is not None:
            places.setdefault(of_box if is_of_box else role, place)
    if not forms and start and _has(places, SIDES):
        forms = [start]
    if not forms:
        forms = [form for form in ("bbox", "shape") if form in places]
    if forms and forms[0] != "bbox":
        places.pop("bbox", None)
    return forms[0] if forms else ""


def _has(places: Mapping[str, int], roles: Sequence[str]) -> bool:
    return all(role in places for role in roles)
