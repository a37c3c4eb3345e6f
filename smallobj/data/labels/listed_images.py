"""Images as label files list them, and their records."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

from smallobj.data.labels.image_list import list_images, natural_key
from smallobj.data.labels.image_lookup import ImageLookup
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, make_record
from smallobj.data.labels.rules import FIX, IMAGE_TWICE, Rule, rule
from smallobj.data.labels.told_size import is_scaled, scale_of
from smallobj.images.size import read_sizes

KNOWN_FILE = rule(
    "label-of-unknown-image", "the image must lie in the folder of images", dropped="box"
)
UNLABELLED = rule(
    "image-without-labels",
    "an image in the folder of images must have labels",
    FIX,
    fixed="image without labels taken as one without objects",
    dropped="image",
)


def slashed(path: str) -> str:
    """With "/" between folders, as files that travel between systems have it."""
    return path.replace(os.sep, "/")


@dataclasses.dataclass(frozen=True)
class Listing:
    """An image as a label file lists it.

    Attributes:
        names: paths below the folder of images, with "/"; the first that is there counts.
        size: (h, w) as the labels say it, None where they don't.
        place: file and entry that a problem names.
        content: what the file says of the image.
        is_relative: coordinates are shares of the image's sides, right in a scaled copy, too.
    """

    names: Sequence[str]
    size: tuple[int, int] | None
    place: tuple[str, str]
    content: Any = None
    is_relative: bool = False


@dataclasses.dataclass
class ListedImage:
    """An image that can be read.

    Attributes:
        record: its Detectron2 record; without a height and a width where the size is unknown.
        scale: (x, y) by which coordinates in the labels are multiplied.
    """

    record: dict[str, Any]
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def size(self) -> tuple[int, int] | None:
        """(h, w), None where it is unknown."""
        if "height" not in self.record:
            return None
        return self.record["height"], self.record["width"]


class ListedImages:
    """The images that were listed so far."""

    def __init__(self, folder: str, reading: DatasetReading) -> None:
        """
        Args:
            folder: of the images; "" where there is none, and sizes are what the labels say.
            reading: receives the records and the problems.
        """
        self._folder = folder
        self._reading = reading
        self._lookup = ImageLookup(folder) if folder else None
        self._images: dict[str, ListedImage | None] = {}

    def add(
        self, listings: Sequence[Listing], missing: Rule | None = None
    ) -> list[tuple[ListedImage, Listing]]:
        """The images of the listings; reports those that occur twice or aren't there.

        Args:
            listings: any number at once: sizes are read in threads.
            missing: the rule that an image breaks which is not there; None for the usual one.
        """
        new: dict[str, Listing] = {}
        kept = []
        for listing in listings:
            path = self._path(listing)
            if path in self._images or path in new:
                value = f"{shown(listing.names[0])} again"
                if self._reading.report(*listing.place, IMAGE_TWICE, value) != FIX:
                    continue
            else:
                new[path] = listing
            kept.append((path, listing))
        paths = list(new)
        sizes = read_sizes(paths) if self._folder else [None] * len(paths)
        for path, size in zip(paths, sizes, strict=True):
            self._images[path] = self._image(path, new[path], size, missing)
        images = [(self._images[path], listing) for path, listing in kept]
        return [(image, listing) for image, listing in images if image is not None]

    def _path(self, listing: Listing) -> str:
        if self._lookup is None:
            return listing.names[0]
        for name in listing.names:
            path = os.path.normpath(os.path.join(self._folder, name))
            if os.path.isfile(path):
                return path
        return self._lookup.path(listing.names[-1], listing.place, self._reading)

    def _image(
        self, path: str, listing: Listing, found: Any, missing: Rule | None
    ) -> ListedImage | None:
        """The image of a new path, None after reporting why it cannot be used."""
        if isinstance(found, FileNotFoundError) and missing is not None:
            self._reading.report(*listing.place, missing, shown(listing.names[0]))
            return None
        if isinstance(found, Exception):
            self._reading.report_image(*listing.place, path, found)
            return None
        if found is None:
            return ListedImage(_record(path, listing.size))
        if listing.size is None or (listing.is_relative and is_scaled(listing.size, found)):
            return ListedImage(_record(path, found))
        fitted = scale_of(listing.size, found, path, listing.place, self._reading)
        return None if fitted is None else ListedImage(_record(path, found), fitted)

    def leave_out(self, names: Iterable[Sequence[str]]) -> None:
        """Marks images that belong elsewhere, so that :meth:`add_others` does not take them.

        Args:
            names: of each image, as those of a listing.
        """
        assert self._lookup is not None
        for candidates in names:
            found = next(filter(None, map(self._lookup.find, candidates)), None)
            if found is not None:
                self._images.setdefault(os.path.normpath(os.path.join(self._folder, found)), None)

    def add_others(self) -> None:
        """Takes the images of the folder that no label file has named."""
        paths = [os.path.join(self._folder, name) for name in list_images(self._folder)]
        others = [path for path in map(os.path.normpath, paths) if path not in self._images]
        for path, size in zip(others, read_sizes(others), strict=True):
            place = (path, "image file")
            if self._reading.report(*place, UNLABELLED, os.path.basename(path)) == FIX:
                self._images[path] = self._image(path, Listing([path], None, place), size, None)

    def finish(self, in_order_of_names: bool) -> None:
        """Gives the reading all records, in the order of the labels or of the images' names."""
        records = [image.record for image in self._images.values() if image is not None]
        if in_order_of_names:
            records.sort(key=lambda record: natural_key(slashed(record["file_name"])))
        for number, record in enumerate(records, start=1):
            record["image_id"] = number
        self._reading.records = records


def _record(path: str, size: tuple[int, int] | None) -> dict[str, Any]:
    if size is not None:
        return make_record(path, 0, size)
    return {"file_name": path, "image_id": 0, "annotations": []}
