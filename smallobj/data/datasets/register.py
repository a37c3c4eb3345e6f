"""Registers datasets in Detectron2's catalogs by a string; they are read when first needed."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj.checks import did_you_mean
from smallobj.data.datasets.class_order import (
    forget_classes,
    in_shown_order,
    own_classes,
    publish_classes,
)
from smallobj.data.labels.coco_json.coco import read_coco_classes
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import DatasetError, Problem
from smallobj.data.labels.public_sets.challenge import read_challenge_classes
from smallobj.data.labels.readers import expand, read_labels
from smallobj.data.labels.reading import DatasetReading, read_class_file
from smallobj.data.labels.spec import DatasetSpec, datasets_root, parse_spec
from smallobj.plugins import load_plugins

_BUILTIN_NAMES = ("smallobj_train", "smallobj_val", "smallobj_test")
_BUILTIN_RULE = (
    "the folder must exist (datasets/prepare_synthetic.py makes it; "
    "the environment's DETECTRON2_DATASETS says where datasets lie)"
)
_NOT_EMPTY = "a dataset must have at least one image"


@dataclasses.dataclass
class _Registered:
    spec: DatasetSpec
    # What is done about broken rules (DATASETS.RULES).
    policy: Policy = DEFAULT_POLICY
    # Cached once the dataset was read without an error, since every validation loads it.
    reading: DatasetReading | None = None


_registered: dict[str, _Registered] = {}


def registered_spec(name: str) -> DatasetSpec | None:
    """The spec with which a dataset was registered; None if it was not registered here."""
    entry = _registered.get(name)
    return entry.spec if entry else None


def register_datasets(spec: str) -> list[DatasetSpec]:
    """Registers all datasets that a string stands for: NAME_train, NAME_val, ... of a data.yaml.

    Raises:
        ValueError: as :func:`register_dataset`.
        DatasetError: the file that names the datasets can't be read.
    """
    return [register_dataset(one) for one in expand(parse_spec(spec))]


def register_dataset(spec: DatasetSpec | str) -> DatasetSpec:
    """Registers a dataset under its name; at this point only a small class file is read.

    Registering the same dataset again does nothing.

    Raises:
        ValueError: the string is malformed, stands for several datasets, or the name belongs to
            another dataset.
    """
    if isinstance(spec, str):
        text, parsed = spec, expand(parse_spec(spec))
        if len(parsed) != 1:
            splits = ", ".join(one.split for one in parsed)
            raise ValueError(f"one dataset is wanted; {text!r} has {splits}: write {text}:SPLIT")
        (spec,) = parsed
    known = registered_spec(spec.name)
    if known == spec:
        return spec
    if known is not None:
        raise ValueError(
            f"dataset name {spec.name!r} is taken: it is registered as {known}, asked for is {spec}"
        )
    if spec.name in DatasetCatalog.list():
        raise ValueError(
            f"dataset name {spec.name!r} is taken by a dataset registered in Python; "
            f"choose another name for {spec}"
        )
    _registered[spec.name] = _Registered(spec)
    name = spec.name
    DatasetCatalog.register(name, lambda: load_records(name))
    metadata = MetadataCatalog.get(name)
    metadata.set(evaluator_type="coco", image_root=spec.images)
    if spec.classes or spec.format == "challenge":
        early = DatasetReading()
        names = _read_class_names(spec, early)
        if not early.problems:  # otherwise reported when the dataset is read
            publish_classes(name, names)
    return spec


def _read_class_names(spec: DatasetSpec, reading: DatasetReading) -> list[str]:
    if spec.format == "coco":
        return read_coco_classes(spec, reading)
    if spec.classes:
        return read_class_file(spec.classes, reading)
    if spec.format == "challenge":
        return read_challenge_classes(spec, reading)
    whole = read_dataset(spec.name)
    reading.problems += whole.problems
    return whole.class_names


def class_names(name: str) -> list[str]:
    """Class names of a dataset by contiguous id; reads label files if needed, but no image headers.

    They are in the order of a model where :func:`show_classes` said so.

    Raises:
        ValueError: there is no dataset of that name.
        DatasetError: the file that names the classes breaks a rule.
    """
    if name not in DatasetCatalog.list():
        raise ValueError(f"unknown dataset {name!r}; {_known_names(name)}")
    metadata = MetadataCatalog.get(name)
    if getattr(metadata, "thing_classes", None):
        return list(metadata.thing_classes)
    spec = registered_spec(name)
    if spec is None:
        DatasetCatalog.get(name)  # many register their class names while loading
        return list(metadata.get("thing_classes", []))
    reading = DatasetReading()
    names = _read_class_names(spec, reading)
    if reading.problems:
        raise DatasetError(reading.problems)
    publish_classes(name, names)
    return list(MetadataCatalog.get(name).thing_classes)


def own_class_names(name: str) -> list[str]:
    """As :func:`class_names`, in the order of the dataset's own files.

    Raises:
        ValueError, DatasetError: as there.
    """
    shown = class_names(name)
    own = own_classes(name)
    return shown if own is None else own


def _known_names(name: str) -> str:
    known = f"registered by this project are {', '.join(sorted(_registered))}"
    return known + did_you_mean(name, DatasetCatalog.list())


def _read(spec: DatasetSpec, policy: Policy) -> DatasetReading:
    folder = os.path.dirname(spec.images)
    if spec.name in _BUILTIN_NAMES and not os.path.isdir(folder):
        missing = Problem(folder, f"dataset {spec.name}", _BUILTIN_RULE, "no such folder")
        return DatasetReading(problems=[missing])
    reading = read_labels(spec, policy)
    if not reading.records and not reading.problems:
        reading.report(spec.annotations or spec.images, "images", _NOT_EMPTY, "none")
    return reading


def read_dataset(name: str) -> DatasetReading:
    """Reads a dataset registered here, with its problems; cached if there are none.

    Raises:
        ValueError: there is no such dataset.
    """
    entry = _registered.get(name)
    if entry is None:
        raise ValueError(f"unknown dataset {name!r}; {_known_names(name)}")
    if entry.reading is None:
        reading = _read(entry.spec, entry.policy)
        if reading.problems:
            return reading  # not kept, so that a fixed file can be read again in this process
        entry.reading = reading
        publish_classes(name, reading.class_names, reading.class_ids)
    return entry.reading


def set_policy(name: str, policy: Policy) -> None:
    """Sets what loading this dataset does about broken rules."""
    entry = _registered.get(name)
    if entry is not None and entry.policy != policy:
        entry.policy, entry.reading = policy, None


def load_records(name: str) -> list[dict[str, Any]]:
    """Detectron2 dataset dicts; the caller may change them.

    Raises:
        DatasetError: rules are broken that are errors.
    """
    reading = read_dataset(name)
    if reading.problems:
        raise DatasetError(reading.problems)
    records = [
        {**record, "annotations": [dict(box) for box in record["annotations"]]}
        for record in reading.records
    ]
    return in_shown_order(name, records)


def _builtin_spec(name: str) -> DatasetSpec:
    """The current spec of ``smallobj_train``, ``smallobj_val`` or ``smallobj_test``."""
    root, split = datasets_root(), name.removeprefix("smallobj_")
    folder = os.path.join(root, "smallobj", split)
    labels, images = (os.path.join(folder, f"{split}_{kind}") for kind in ("label", "data"))
    if split == "test" and os.path.isdir(images) and not os.path.exists(labels):
        labels = ""  # the challenge's own test set has no labels
    classes = os.path.join(root, "smallobj", "classes.json")
    if not os.path.isfile(classes):
        classes = ""
    return DatasetSpec(name, "challenge", labels, images, classes)


def register_builtin() -> None:
    """Registers smallobj_train, _val and _test, at DETECTRON2_DATASETS/smallobj.

    Another call updates them if DETECTRON2_DATASETS or the files have changed.
    """
    for name in _BUILTIN_NAMES:
        spec = _builtin_spec(name)
        known = registered_spec(name)
        if known is not None and known != spec:
            unregister_dataset(name)
        register_dataset(spec)


def unregister_dataset(name: str) -> None:
    """Removes a dataset that was registered here, so that its name is free."""
    if _registered.pop(name, None) is not None:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
        forget_classes(name)


def register_from_config(cfg: CfgNode) -> None:
    """Registers DATASETS.REGISTER and applies DATASETS.RULES to the datasets in use.

    Plugins, which may register datasets too, are loaded first.

    Raises:
        ValueError: as in ``register_dataset``, or a plugin can't be loaded.
    """
    load_plugins()
    if isinstance(cfg.DATASETS.REGISTER, str):
        raise ValueError(f"DATASETS.REGISTER is a list of strings; got {cfg.DATASETS.REGISTER!r}")
    for spec in cfg.DATASETS.REGISTER:
        register_datasets(spec)
    policy = Policy.from_config(cfg)
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        set_policy(name, policy)
