"""Datasets that number their classes as a model does, instead of in the order of their own files.

A dataset's own classes are those of its files. It may show them in another order, or only some of
them: then its records and its metadata in Detectron2's catalogs are numbered by what is shown.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj.class_names import listed, positions, same_classes
from smallobj.data.classes import CHALLENGE_CLASSES_EN, CHALLENGE_CLASSES_KO

_IDS = "thing_dataset_id_to_contiguous_id"
_KOREAN = dict(zip(CHALLENGE_CLASSES_EN, CHALLENGE_CLASSES_KO, strict=True))
_logger = logging.getLogger(__name__)


@dataclasses.dataclass
class _Own:
    """A dataset's own class names, and its class numbers by category id where it has such ids."""

    names: list[str]
    ids: Mapping[int, int] | None = None


_own: dict[str, _Own] = {}
_shown: dict[str, list[str]] = {}
_others: dict[str, Callable[[], list[dict[str, Any]]]] = {}  # loaders of other code's datasets
_told: set[str] = set()  # datasets of which the labels left out have been counted


def publish_classes(name: str, names: Sequence[str], ids: Mapping[int, int] | None = None) -> None:
    """Puts a dataset's classes into its metadata, in the order that is shown.

    Args:
        name: the dataset.
        names: its own K classes.
        ids: class number by category id; None leaves what is known of them.
    """
    before = _own.get(name)
    if ids is None and before is not None and before.names == list(names):
        ids = before.ids
    _own[name] = _Own(list(names), ids)
    if before is not None and not same_classes(before.names, names):
        _shown.pop(name, None)  # the files name other classes by now
    shown = shown_classes(name)
    metadata = MetadataCatalog.get(name)
    put_metadata(metadata, "thing_classes", shown)
    if tuple(names) == CHALLENGE_CLASSES_EN:
        put_metadata(metadata, "thing_classes_ko", [_KOREAN.get(each, each) for each in shown])
    if ids is not None:
        index = positions(names, shown)
        numbers = {category: index[number] for category, number in ids.items()}
        put_metadata(metadata, _IDS, {k: number for k, number in numbers.items() if number >= 0})


def put_metadata(metadata: Any, key: str, value: object) -> None:
    """Sets a value, or changes it, which Metadata itself refuses: the files may have changed."""
    if hasattr(metadata, key) and getattr(metadata, key) != value:
        delattr(metadata, key)
    setattr(metadata, key, value)


def own_classes(name: str) -> list[str] | None:
    """A dataset's own classes, in the order of its files; None where none were published."""
    if name in _others and DatasetCatalog.data.get(name) is not _others[name]:
        forget_classes(name)  # registered anew by other code
    return list(_own[name].names) if name in _own else None


def shown_classes(name: str) -> list[str]:
    """The classes that a dataset shows, by the class number of its records."""
    return list(_shown.get(name, _own[name].names))


def show_classes(name: str, classes: Sequence[str]) -> None:
    """From now on a dataset numbers its classes by this list.

    Labels of classes that the list lacks are left out, and counted when they are first read.

    Args:
        name: a dataset of DatasetCatalog that names its classes.
        classes: in any order; those that it doesn't have are classes without labels.
    """
    metadata = MetadataCatalog.get(name)
    if own_classes(name) is None:  # registered by other code
        names = list(metadata.thing_classes)
        # Without ids of its own a dataset's category ids are its class numbers.
        _own[name] = _Own(names, metadata.get(_IDS) or {k: k for k in range(len(names))})
        _others[name] = partial(_load_others, name, DatasetCatalog[name])
        DatasetCatalog[name] = _others[name]
    if list(classes) != _shown.get(name):
        _told.discard(name)
    _shown[name] = list(classes)
    publish_classes(name, _own[name].names)


def _load_others(name: str, load: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Records of a dataset that other code registered, whose loader may set the metadata."""
    own, metadata = _own[name], MetadataCatalog.get(name)
    put_metadata(metadata, "thing_classes", own.names)
    if own.ids is not None:
        put_metadata(metadata, _IDS, own.ids)
    records = load()
    publish_classes(name, list(metadata.thing_classes), metadata.get(_IDS) or own.ids)
    return in_shown_order(name, records)


def in_shown_order(name: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records numbered by a dataset's own classes, numbered by those that it shows."""
    own, shown = _own[name].names, shown_classes(name)
    if own == shown:
        return records
    index = positions(own, shown)
    dropped = dict.fromkeys((own[k] for k, number in enumerate(index) if number < 0), 0)
    numbered = []
    for record in records:
        record = dict(record)
        if "annotations" in record:
            kept = []
            for label in record["annotations"]:
                number = index[label["category_id"]]
                if number < 0:
                    dropped[own[label["category_id"]]] += 1
                else:
                    kept.append({**label, "category_id": number})
            record["annotations"] = kept
        numbered.append(record)
    if any(dropped.values()) and name not in _told:
        _told.add(name)
        lost = [each for each, count in dropped.items() if count]
        text = "%s: left out %d labels of classes that the model doesn't have: %s"
        _logger.warning(text, name, sum(dropped.values()), listed(lost))
    return numbered


def forget_classes(name: str) -> None:
    """Of a dataset that is removed from the catalogs."""
    _own.pop(name, None)
    _shown.pop(name, None)
    _others.pop(name, None)
    _told.discard(name)
