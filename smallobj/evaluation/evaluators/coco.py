"""The COCO metrics, from faster-coco-eval, for any registered dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.utils.logger import create_small_table

from smallobj.checks import check_at_least
from smallobj.evaluation.evaluators.detection_evaluator import DetectionEvaluator
from smallobj.evaluation.metrics.coco_curves import coco_curves
from smallobj.evaluation.metrics.matching import limit_warning
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.formats.detections.coco_results import coco_result

RESULTS_FILE = "coco_instances_results.json"
MASK_RESULTS_FILE = "coco_masks_results.json"
# APs, APm and APl: of labels under 32² px², to 96², and larger.
COCO_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR")


class FastCOCOEvaluator(DetectionEvaluator):
    """Box AP and AR as pycocotools computes them, from dataset dicts in memory.

    Unlike Detectron2's COCOEvaluator it keeps no JSON copy of the labels, gives a model without any
    detection a score of 0, and its limit of detections per image is an argument, not 100.
    """

    # Name of the metrics, and of the file that the detections go to.
    task, results_file = "bbox", RESULTS_FILE
    headline = "bbox/AP50"

    @configurable
    def __init__(
        self, dataset_name: str, output_dir: str | None = None, max_detections: int = 100
    ) -> None:
        """
        Args:
            dataset_name: a registered dataset.
            output_dir: where ``results_file`` is written; None writes nothing.
            max_detections: the most confident detections that count, per image and class (COCO's
                maxDets).

        Raises:
            ValueError: max_detections below 1.
        """
        super().__init__(dataset_name)
        check_at_least("max_detections", max_detections, 1)
        self.output_dir = output_dir
        self.max_detections = max_detections

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str, output_dir: str) -> dict[str, Any]:
        return {
            "dataset_name": dataset_name,
            "output_dir": output_dir,
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    def write(self, found: Mapping[int | str, DetectionTable]) -> None:
        """Writes all detections in COCO's result format, with the dataset's own category ids."""
        if self.output_dir is None:
            return
        own = self.metadata.get("thing_dataset_id_to_contiguous_id") or {}
        # Without a mapping the dataset's ids are its class numbers.
        own_ids = {contiguous: dataset_id for dataset_id, contiguous in own.items()}
        results = []
        for image_id, detections in found.items():
            results += _results(image_id, detections, own_ids)
        os.makedirs(self.output_dir, exist_ok=True)
        Path(self.output_dir, self.results_file).write_text(json.dumps(results), encoding="utf-8")

    def score(self, data: EvaluationSet) -> dict[str, dict[str, float]]:
        """{``task``: {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "AP-<class>" ...}}."""
        warning = limit_warning(data, self.max_detections, "the limit (maxDets)")
        if warning:
            self.logger.warning(warning)
        metrics = coco_metrics(data, self.max_detections)
        self.logger.info(
            f"COCO metrics of {self.task}, {self.max_detections} detections:\n"
            + create_small_table({name: metrics[name] for name in COCO_METRICS})
        )
        return {self.task: metrics}


class MaskCOCOEvaluator(FastCOCOEvaluator):
    """Mask AP and AR as pycocotools computes them for "segm", of labels that all have a mask."""

    with_masks = True
    task, results_file = "segm", MASK_RESULTS_FILE
    headline = "segm/AP50"


def coco_metrics(data: EvaluationSet, max_detections: int = 100) -> dict[str, float]:
    """AP and AR in percent, NaN where no label counts.

    Args:
        data: labels and detections.
        max_detections: as in ``FastCOCOEvaluator``.

    Returns:
        the ``COCO_METRICS``, then AP-<class> and AP50-<class> of each class.
    """
    precision, recall = coco_curves(data, max_detections)
    metrics = {
        "AP": _percent(precision[:, :, :, 0]),
        "AP50": _percent(precision[0, :, :, 0]),
        "AP75": _percent(precision[5, :, :, 0]),
        # The areas are those of ``COCO_AREAS``, in its order.
        "APs": _percent(precision[..., 1]),
        "APm": _percent(precision[..., 2]),
        "APl": _percent(precision[..., 3]),
        "AR": _percent(recall[:, :, 0]),
    }
    for k, name in enumerate(data.class_names):
        metrics[f"AP-{name}"] = _percent(precision[:, :, k, 0])
        metrics[f"AP50-{name}"] = _percent(precision[0, :, k, 0])
    return metrics


def _results(
    image_id: int | str, detections: DetectionTable, own_ids: Mapping[int, int]
) -> list[dict[str, Any]]:
    """COCO results; a category without an id of its own has its number."""
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    bboxes = np.concatenate([detections.boxes[:, :2], sides], axis=1).tolist()
    masks = [None] * len(detections) if detections.masks is None else detections.masks.tolist()
    columns = (detections.categories.tolist(), bboxes, detections.scores.tolist(), masks)
    return [
        coco_result(image_id, own_ids.get(category, category), bbox, score, mask)
        for category, bbox, score, mask in zip(*columns, strict=True)
    ]


def _percent(values: np.ndarray) -> float:
    """Mean of the defined values in percent, NaN if there are none."""
    # -1 is pycocotools' mark of a class without labels; it must not enter the mean.
    defined = values[values > -1]
    return float(defined.mean() * 100) if defined.size else float("nan")
