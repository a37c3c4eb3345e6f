"""Label files that belong to the image of their name: which are there, and whose they are."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from smallobj.data.labels.image_list import list_images, natural_key
from smallobj.data.labels.listed_images import ListedImage, ListedImages, Listing, slashed
from smallobj.data.labels.reading import MUST_EXIST, DatasetReading
from smallobj.data.labels.rules import rule
from smallobj.data.labels.spec import DatasetSpec

PARTNER_RULE = rule(
    "label-without-image", "a label file must have an image of its name", dropped="label file"
)


def stem(name: str) -> str:
    """What an image and its label file have in common, in whatever coding of accents."""
    return unicodedata.normalize("NFC", slashed(os.path.splitext(name)[0]))


class ImagesByName:
    """Images of a folder and below, by their names without ending."""

    def __init__(self, folder: str) -> None:
        self._by_path: dict[str, str] = {}
        self._by_name: dict[str, set[str]] = {}
        for name in list_images(folder):
            self._by_path.setdefault(stem(name), slashed(name))
            self._by_name.setdefault(os.path.basename(stem(name)), set()).add(slashed(name))

    def of(self, label: str) -> str:
        """Path of a label file's image below the folder, "" if there is none.

        Args:
            label: path of the label file below its folder. Without an image of this path, the only
                one of this name counts.
        """
        found = self._by_name.get(os.path.basename(stem(label)), set())
        alone = next(iter(found)) if len(found) == 1 else ""
        return self._by_path.get(stem(label), alone)


def list_label_files(folder: str, ending: str) -> list[str]:
    """Paths of the files with this ending in a folder and below, relative to it."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        kept = [name for name in names if name.lower().endswith(ending) and name[0] != "."]
        found += [os.path.relpath(os.path.join(parent, name), folder) for name in kept]
    return sorted(found, key=natural_key)


def folders_exist(spec: DatasetSpec, reading: DatasetReading) -> bool:
    """Whether both folders of a data set are there; reports those that aren't."""
    missing = False
    for folder, what in ((spec.annotations, "label folder"), (spec.images, "image folder")):
        if not os.path.isdir(folder):
            reading.report(folder, what, MUST_EXIST, "no such folder")
            missing = True
    return not missing


def read_label_files(
    spec: DatasetSpec, ending: str, read: Callable[[str], Any], reading: DatasetReading
) -> Iterator[tuple[ListedImage, Any]]:
    """(image, content) of each label file whose image can be read; then finishes the reading.

    Args:
        spec: the dataset, of two folders.
        ending: of the label files, such as ".txt".
        read: content of a label file by its path; None if it is left out.
        reading: receives records and problems.
    """
    if not folders_exist(spec, reading):
        return
    names = ImagesByName(spec.images)
    listings: Sequence[Listing] = [
        Listing(
            [names.of(label) or f"{slashed(os.path.splitext(label)[0])}.*"],
            None,
            (path, "whole file"),
            content,
        )
        for label in list_label_files(spec.annotations, ending)
        for path in [os.path.join(spec.annotations, label)]
        for content in [read(path)]
        if content is not None
    ]
    images = ListedImages(spec.images, reading)
    for image, listing in images.add(listings, missing=PARTNER_RULE):
        yield image, listing.content
    images.add_others()
    images.finish(in_order_of_names=True)
