"""Checks of datasets before training starts, and the number of classes that follows from them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from smallobj.data.datasets.mask_checks import check_masks
from smallobj.data.datasets.register import (
    class_names,
    read_dataset,
    registered_spec,
    set_policy,
)
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import Changes, DatasetError, Problem

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DatasetCounts:
    """Counts of a dataset: images, good boxes by class name, and what was fixed or dropped.

    A box that breaks two rules counts under both.
    """

    name: str
    images: int
    boxes: dict[str, int]
    changes: Changes

    def __str__(self) -> str:
        text = f"{self.name}: {self.images} images, {sum(self.boxes.values())} boxes"
        by_class = ", ".join(f"{name} {count}" for name, count in self.boxes.items())
        return f"{text} ({by_class})"


def load_checked(names: Sequence[str], policy: Policy = DEFAULT_POLICY) -> list[DatasetCounts]:
    """Reads whole datasets and finds all problems in all of them before it raises.

    Args:
        names: datasets; those registered by other Python code are not checked.
        policy: what is done about broken rules, now and whenever a dataset is loaded; what was
            fixed or dropped is logged, rule by rule.

    Raises:
        ValueError: there is no dataset of that name.
        DatasetError: datasets break rules; lists the problems.
    """
    problems: list[Problem] = []
    counts = []
    for name in dict.fromkeys(names):
        if registered_spec(name) is None and name in DatasetCatalog.list():
            _logger.info("%s was registered by other code; its labels are not checked", name)
            continue
        set_policy(name, policy)
        reading = read_dataset(name)
        problems += reading.problems
        by_class = dict.fromkeys(reading.class_names, 0)
        for record in reading.records:
            for annotation in record["annotations"]:
                by_class[reading.class_names[annotation["category_id"]]] += 1
        counts.append(DatasetCounts(name, len(reading.records), by_class, reading.changes))
    if problems:
        raise DatasetError(problems)
    for count in counts:
        _logger.info("%s", count)
        for line in count.changes.lines():
            _logger.warning("%s: %s", count.name, line)
    return counts


def check_datasets(cfg: CfgNode, names: Sequence[str] | None = None) -> list[DatasetCounts]:
    """``load_checked`` and ``check_masks`` of DATASETS.TRAIN and TEST, or of the given names.

    Raises:
        DatasetError: datasets break rules; lists the problems.
    """
    if names is None:
        names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    counts = load_checked(names, Policy.from_config(cfg))
    check_masks(cfg, names)
    return counts


def resolve_num_classes(cfg: CfgNode, names: Sequence[str] | None = None) -> CfgNode:
    """Sets a MODEL.*.NUM_CLASSES of 0 and an empty MODEL.CLASS_NAMES from the data.

    The config is changed in place and returned. Without datasets, the class names in the config are
    used instead; if there are none either, nothing changes.

    Args:
        cfg: the config; the datasets in DATASETS.TRAIN and TEST must have the same classes.
        names: datasets to use instead.

    Raises:
        ValueError: the number or the names of the classes in the config differ from those of the
            data, or the datasets differ from each other.
    """
    if names is None:
        names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    if names:
        classes = _common_class_names(names)
        source = _described(names[0])
    else:
        classes = list(cfg.MODEL.CLASS_NAMES)
        source = "MODEL.CLASS_NAMES"
    if not classes:
        return cfg
    configured = list(cfg.MODEL.CLASS_NAMES)
    if configured and configured != classes:
        raise ValueError(
            "the config's MODEL.CLASS_NAMES differs from the data: "
            + _first_difference("MODEL.CLASS_NAMES", configured, source, classes)
        )
    was_frozen = cfg.is_frozen()
    cfg.defrost()
    try:
        for key in ("ROI_HEADS", "RETINANET"):
            number = cfg.MODEL[key].NUM_CLASSES
            if number not in (0, len(classes)):
                raise ValueError(
                    f"the number of classes differs: MODEL.{key}.NUM_CLASSES in the config is "
                    f"{number}, {source} has {len(classes)} ({', '.join(classes)}). "
                    f"Leave MODEL.{key}.NUM_CLASSES at 0 to take it from the data."
                )
            cfg.MODEL[key].NUM_CLASSES = len(classes)
        cfg.MODEL.CLASS_NAMES = classes
    finally:
        if was_frozen:
            cfg.freeze()
    return cfg


def _described(name: str) -> str:
    spec = registered_spec(name)
    return f"dataset {name} ({spec.classes or spec.annotations})" if spec else f"dataset {name}"


def _common_class_names(names: Sequence[str]) -> list[str]:
    first = class_names(names[0])
    for name in names[1:]:
        other = class_names(name)
        if other != first:
            raise ValueError(
                "datasets used together must have the same classes in the same order: "
                + _first_difference(names[0], first, name, other)
            )
    return first


def _first_difference(place: str, names: list[str], other_place: str, others: list[str]) -> str:
    for index, (name, other) in enumerate(zip(names, others, strict=False)):
        if name != other:
            return f"class {index} is {name!r} in {place} and {other!r} in {other_place}"
    return f"{place} has {len(names)} classes, {other_place} has {len(others)}"
