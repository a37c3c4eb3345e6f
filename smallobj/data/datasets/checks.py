"""Checks of datasets before training starts."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from smallobj.data.datasets.mask_checks import check_masks
from smallobj.data.datasets.register import (
    read_dataset,
    registered_spec,
    set_policy,
)
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import Changes, DatasetError, Problem

_logger = logging.getLogger(__name__)
# With more classes than the first, the console names as many as the second.
_MOST_CLASSES, _SHOWN = 10, 3


@dataclasses.dataclass(frozen=True)
class DatasetCounts:
    """Counts of a dataset: images, good boxes by class name, and what was fixed or dropped.

    A box that breaks two rules counts under both. Crowd regions count apart from boxes.
    """

    name: str
    images: int
    boxes: dict[str, int]
    changes: Changes
    crowds: int = 0

    def __str__(self) -> str:
        return self._text(self.boxes)

    def short(self) -> str:
        """The text; of more than ten classes only the three commonest, and counts of the others."""
        if len(self.boxes) <= _MOST_CLASSES:
            return str(self)
        common = sorted(self.boxes, key=lambda name: -self.boxes[name])[:_SHOWN]
        without = sum(not count for count in self.boxes.values())
        rest = f"{len(self.boxes) - _SHOWN} others; {without} classes without boxes"
        return self._text({name: self.boxes[name] for name in common}, rest)

    def _text(self, boxes: dict[str, int], *rest: str) -> str:
        text = f"{self.name}: {self.images} images, {sum(self.boxes.values())} boxes"
        by_class = [f"{name} {count}" for name, count in boxes.items()]
        crowds = f", {self.crowds} crowd regions" if self.crowds else ""
        return f"{text} ({', '.join([*by_class, *rest])}){crowds}"


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
        crowds = 0
        for record in reading.records:
            for annotation in record["annotations"]:
                if annotation["iscrowd"]:
                    crowds += 1
                else:
                    by_class[reading.class_names[annotation["category_id"]]] += 1
        counts.append(DatasetCounts(name, len(reading.records), by_class, reading.changes, crowds))
    if problems:
        raise DatasetError(problems)
    for count in counts:
        _logger.info("%s", count.short())
        if count.short() != str(count):
            # For log.txt; the console is spared it, see smallobj/engine/run_log.py.
            _logger.info("%s", count, extra={"file_only": True})
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
