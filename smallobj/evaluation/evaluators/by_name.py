"""Evaluators that see a model's detections with the class numbers of their dataset."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators
from detectron2.utils import comm

from smallobj.class_names import NamedClasses, differing_classes, listed, same_classes
from smallobj.data.class_map import ClassMap

_logger = logging.getLogger(__name__)


class EvaluatorsByName(DatasetEvaluators):
    """Several evaluators as one; detections of classes that the dataset lacks are left out."""

    def __init__(
        self,
        evaluators: Sequence[DatasetEvaluator],
        dataset_name: str,
        names: Sequence[str],
        common_only: bool = False,
    ) -> None:
        """
        Args:
            evaluators: of one dataset.
            dataset_name: a registered dataset.
            names: the model's classes; () takes them to be the dataset's.
            common_only: evaluate the classes that both have.

        Raises:
            ValueError: they have other classes, and ``common_only`` is false.
        """
        super().__init__(evaluators)
        shown = MetadataCatalog.get(dataset_name).get("thing_classes") or names
        self._dataset_name = dataset_name
        self._lacking = [name for name in names if name not in set(shown)]
        if names and not same_classes(names, shown) and not common_only:
            model, data = (
                NamedClasses(list(each), source)
                for each, source in ((names, "the model"), (shown, f"dataset {dataset_name}"))
            )
            raise ValueError(
                f"dataset {dataset_name} has other classes than the model: "
                f"{differing_classes(model, data)}. To evaluate the classes that both have, set "
                "TEST.COMMON_CLASSES_ONLY True"
            )
        self._map = ClassMap(names, shown)
        self._left_out = 0

    def reset(self) -> None:
        self._left_out = 0
        super().reset()

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        super().process(inputs, [self._by_name(output) for output in outputs])

    def _by_name(self, output: dict[str, Any]) -> dict[str, Any]:
        if not self._map.changes or "instances" not in output:
            return output
        found = self._map(output["instances"])
        self._left_out += len(output["instances"]) - len(found)
        return {**output, "instances": found}

    def evaluate(self) -> dict[str, Any]:
        left_out = sum(comm.gather(self._left_out, dst=0))
        if left_out:
            text = "%s: left out %d detections of classes that the dataset doesn't have: %s"
            _logger.warning(text, self._dataset_name, left_out, listed(self._lacking))
        return super().evaluate()
