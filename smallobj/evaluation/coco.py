"""The COCO metrics, from faster-coco-eval, for any registered dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.utils.logger import create_small_table
from faster_coco_eval import COCO, COCOeval_faster

from smallobj.evaluation.detection_evaluator import DetectionEvaluator, Detections, ImageDetections
from smallobj.evaluation.ground_truth import ImageLabels

RESULTS_FILE = "coco_instances_results.json"
# In the order of the evaluator's area axis: all, under 32², to 96², and larger (px²).
_AREAS = {"AP": 0, "APs": 1, "APm": 2, "APl": 3}


class FastCOCOEvaluator(DetectionEvaluator):
    """Box AP and AR as pycocotools computes them, from dataset dicts in memory.

    Unlike Detectron2's COCOEvaluator it keeps no json copy of the labels, scores a model without
    any detection 0, and averages over as many detections an image as it is told, not 100.
    """

    def __init__(
        self, dataset_name: str, output_dir: str | None = None, max_detections: int = 100
    ) -> None:
        """
        Args:
            dataset_name: a registered dataset.
            output_dir: where coco_instances_results.json is written; None writes nothing.
            max_detections: the most confident detections that count, per image and class (COCO's
                maxDets).

        Raises:
            ValueError: max_detections below 1.
        """
        super().__init__(dataset_name)
        if max_detections < 1:
            raise ValueError(f"max_detections must be at least 1, got {max_detections}")
        self.output_dir = output_dir
        self.max_detections = max_detections

    def write(self, found: Detections) -> None:
        """Writes all detections in COCO's result format, with the dataset's own category ids."""
        if self.output_dir is None:
            return
        own = self.metadata.get("thing_dataset_id_to_contiguous_id") or {}
        own_ids = {contiguous: dataset_id for dataset_id, contiguous in own.items()}
        rows = []
        for image_id, detections in found.items():
            for row in _result_rows(image_id, detections):
                row["category_id"] = own_ids.get(row["category_id"], row["category_id"])
                rows.append(row)
        os.makedirs(self.output_dir, exist_ok=True)
        Path(self.output_dir, RESULTS_FILE).write_text(json.dumps(rows), encoding="utf-8")

    def score(self, labels: list[ImageLabels], found: Detections) -> dict[str, dict[str, float]]:
        """{"bbox": {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "AP-<class>" ...}}."""
        precision, recall = coco_curves(labels, found, len(self.class_names), self.max_detections)
        metrics = {
            "AP": _percent(precision[:, :, :, 0]),
            "AP50": _percent(precision[0, :, :, 0]),
            "AP75": _percent(precision[5, :, :, 0]),
            **{name: _percent(precision[..., area]) for name, area in _AREAS.items() if area},
            "AR": _percent(recall[:, :, 0]),
        }
        self.logger.info(
            f"COCO metrics, {self.max_detections} detections:\n" + create_small_table(metrics)
        )
        for k, name in enumerate(self.class_names):
            metrics[f"AP-{name}"] = _percent(precision[:, :, k, 0])
            metrics[f"AP50-{name}"] = _percent(precision[0, :, k, 0])
        return {"bbox": metrics}


def coco_curves(
    labels: list[ImageLabels], found: Detections, num_classes: int, max_detections: int
) -> tuple[np.ndarray, np.ndarray]:
    """COCO's precision and recall.

    Args:
        labels: of every image that counts.
        found: detections by image id; those of other images are left out.
        num_classes: K.
        max_detections: as in ``FastCOCOEvaluator``.

    Returns:
        precision (10, 101, K, 4) over IoU .5 to .95, recall 0 to 1, class, area range, and recall
        (10, K, 4); -1 where a class has no ground truth in the range.
    """
    truth, results = _coco_truth(labels, num_classes), _coco_results(labels, found, num_classes)
    run = COCOeval_faster(truth, results, "bbox")
    run.params.maxDets = [max_detections]
    run.evaluate()
    run.accumulate()
    shape = (10, 101, num_classes, len(_AREAS), 1)
    precision = np.asarray(run.eval["precision"]).reshape(shape)[..., 0]
    recall = np.asarray(run.eval["recall"]).reshape((10, *shape[2:]))[..., 0]
    return precision, recall


def _coco_truth(labels: list[ImageLabels], num_classes: int) -> COCO:
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(labels):
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        for box, size, category, crowd, area in zip(
            image.boxes, sides, image.categories, image.crowd, image.areas, strict=True
        ):
            rows.append(
                {
                    # From 1: as a match, 0 means none.
                    "id": len(rows) + 1,
                    "image_id": number,
                    "category_id": int(category),
                    "bbox": [float(box[0]), float(box[1]), float(size[0]), float(size[1])],
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
    return _coco(labels, rows, num_classes)


def _coco_results(labels: list[ImageLabels], found: Detections, num_classes: int) -> COCO:
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(labels):
        if image.image_id in found:
            for row in _result_rows(number, found[image.image_id]):
                area = row["bbox"][2] * row["bbox"][3]
                rows.append({**row, "id": len(rows) + 1, "area": area, "iscrowd": 0})
    return _coco(labels, rows, num_classes)


def _coco(labels: list[ImageLabels], rows: list[dict[str, Any]], num_classes: int) -> COCO:
    # Images go by their number here, since a dataset's own ids may be names.
    images = [
        {"id": i, "height": image.size[0], "width": image.size[1]} for i, image in enumerate(labels)
    ]
    categories = [{"id": k, "name": str(k)} for k in range(num_classes)]
    return COCO({"images": images, "categories": categories, "annotations": rows})


def _result_rows(image_id: int | str, detections: ImageDetections) -> list[dict[str, Any]]:
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    bboxes = np.concatenate([detections.boxes[:, :2], sides], axis=1).tolist()
    columns = (bboxes, detections.scores.tolist(), detections.categories.tolist())
    return [
        {"image_id": image_id, "category_id": category, "bbox": bbox, "score": score}
        for bbox, score, category in zip(*columns, strict=True)
    ]


def _percent(values: np.ndarray) -> float:
    """Mean of the defined values in percent, NaN if there are none."""
    defined = values[values > -1]
    return float(defined.mean() * 100) if defined.size else float("nan")
