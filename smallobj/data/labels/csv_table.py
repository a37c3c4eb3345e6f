"""CSV with a box a row: file, class_id, class, score, x1, y1, x2, y2; detection writes it, too.

The score is empty for labels. Images without boxes have no row.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence

from smallobj.data.labels.listed_images import ListedImage, ListedImages, Listing, slashed
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, read_numbers
from smallobj.data.labels.outlines import Outline
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import MUST_EXIST, DatasetReading, read_text
from smallobj.data.labels.rules import rule
from smallobj.data.labels.spec import DatasetSpec

COLUMNS = ("file", "class_id", "class", "score", "x1", "y1", "x2", "y2")
KNOWN_FILE = rule(
    "label-of-unknown-image", "the image must lie in the folder of images", dropped="box"
)
_HEADER_RULE = f"the first line must be {','.join(COLUMNS)}"
_ROW_RULE = rule(
    "csv-row", f"a row must have {len(COLUMNS)} cells, the file's name in the first", dropped="row"
)
_ID_RULE = rule("csv-class-id", "class_id must be a whole number from 0", dropped="box")
_NAME_RULE = "a class_id must stand for one class"
_ONE_ID = "a class must have one class_id"
_VALID_CSV = "the file must be valid CSV"


def read_csv(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, class_names: Sequence[str] = ()
) -> DatasetReading:
    """Labels or detections; with a folder of images, the images without boxes as well.

    Where the class names are known, a row's name decides its class, else its class_id does, and
    these may have gaps.

    Args:
        spec: the dataset; its folder of images may be "".
        policy: what is done about broken rules.
        class_names: where they are known without a file.
    """
    reading = DatasetReading(policy=policy)
    table = _Table(spec, reading, class_names)
    text = read_text(spec.annotations, reading)
    # newline="" leaves line breaks to csv: a quoted cell may hold one.
    rows = csv.reader(io.StringIO(text or "", newline=""), strict=True)
    try:
        header = next(rows, None)
        if text is not None and header != list(COLUMNS):
            reading.report(spec.annotations, "line 1", _HEADER_RULE, shown(header))
            return reading
        for row in rows:
            table.add_row(row, (spec.annotations, f"line {rows.line_num}"))
    except csv.Error as error:
        reading.report(spec.annotations, f"line {rows.line_num}", _VALID_CSV, str(error))
    table.finish()
    return reading


class _Table:
    def __init__(
        self, spec: DatasetSpec, reading: DatasetReading, class_names: Sequence[str]
    ) -> None:
        self._spec = spec
        self._reading = reading
        self._classes = NamedClasses(spec, reading, class_names)
        # As the rows have them, where there is no list.
        self._names: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        # By image, in the order of their first rows.
        self._rows: dict[str, list[tuple[list[str], tuple[str, str]]]] = {}
        if spec.images and not os.path.isdir(spec.images):
            reading.report(spec.images, "image folder", MUST_EXIST, "no such folder")

    def add_row(self, row: list[str], place: tuple[str, str]) -> None:
        if len(row) != len(COLUMNS) or not row[0]:
            self._reading.report(*place, _ROW_RULE, shown(row))
            return
        self._rows.setdefault(row[0], []).append((row, place))

    def _image_names(self, path: str) -> list[str]:
        """Names below the folder, best first: rows carry the paths that detection was given."""
        file = slashed(path)
        if not self._spec.images:
            return [file]
        return [file, slashed(os.path.relpath(path, self._spec.images))]

    def _read_row(self, image: ListedImage, row: list[str], place: tuple[str, str]) -> None:
        _, class_id, name, score, *corners = row
        index = self._class_index(class_id, name, place)
        numbers = read_numbers(self._reading, place, corners)
        outline = None
        if numbers is not None:
            x1, y1, x2, y2 = numbers
            outline = Outline((x1, y1, x2, y2))
        add_object(self._reading, image, place, index, outline, score=score or None)

    def _class_index(self, text: str, name: str, place: tuple[str, str]) -> int | None:
        # isdigit alone takes superscripts, too, and int() raises for these and for very long texts.
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            self._reading.report(*place, _ID_RULE, shown(text))
            return None
        if not self._classes.is_open:
            return self._known_index(int(text), name, place)
        identity = int(text)
        known = self._names.setdefault(identity, name)
        if known != name:
            value = f"{identity} for {shown(known)} and {shown(name)}"
            self._reading.report(*place, _NAME_RULE, value)
            return None
        first = self._ids.setdefault(name, identity)
        if first != identity:
            value = f"{first} and {identity} for {shown(name)}"
            self._reading.report(*place, _ONE_ID, value)
            return None
        return identity

    def _known_index(self, identity: int, name: str, place: tuple[str, str]) -> int | None:
        """The class where the names are known: the name decides, as a model may number others."""
        if not name and identity < len(self._reading.class_names):
            return identity
        return self._classes.index(name, place)

    def finish(self) -> None:
        """Numbers the classes where only the rows name them; their ids may have gaps."""
        images = ListedImages(self._spec.images, self._reading)
        listings = [
            Listing(self._image_names(path), None, rows[0][1], rows)
            for path, rows in self._rows.items()
        ]
        for image, listing in images.add(listings, KNOWN_FILE):
            for row, place in listing.content:
                self._read_row(image, row, place)
        if self._spec.images:
            images.add_others()
        images.finish(in_order_of_names=bool(self._spec.images))
        if not self._classes.is_open:
            return
        self._reading.only_occurring = True
        ids = sorted(self._names)
        self._reading.class_names = [self._names[identity] for identity in ids]
        self._reading.class_ids = {identity: index for index, identity in enumerate(ids)}
        for record in self._reading.records:
            for annotation in record["annotations"]:
                annotation["category_id"] = self._reading.class_ids[annotation["category_id"]]
