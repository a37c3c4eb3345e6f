"""Detections whose classes are numbered by one list of names, numbered by another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.structures import Instances

from smallobj.class_names import positions


class ClassMap:
    """Numbers the classes of detections anew, by name; leaves out classes of no number there."""

    def __init__(self, names: Sequence[str], others: Sequence[str]) -> None:
        """
        Args:
            names: classes of the detections, by number; () leaves detections as they are.
            others: classes by the number that they get.
        """
        index = positions(names, others)
        self.changes = index != list(range(len(names)))
        self._index = torch.tensor(index, dtype=torch.int64)

    def __call__(self, instances: Instances) -> Instances:
        """The instances with other ``pred_classes``, in the same order."""
        if not self.changes:
            return instances
        classes = self._index.to(instances.pred_classes.device)[instances.pred_classes]
        kept = classes >= 0
        renamed = instances[kept]
        renamed.pred_classes = classes[kept]
        return renamed
