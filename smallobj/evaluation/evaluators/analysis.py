"""Beside the mAP: by size, at the best confidence, misses, errors, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.utils.logger import create_small_table

from smallobj.evaluation.evaluators.detection_evaluator import DetectionEvaluator
from smallobj.evaluation.metrics.calibration import reliability
from smallobj.evaluation.metrics.curves import (
    Ranking,
    class_average_precision,
    mean_of_defined,
    pooled_ranking,
    recall,
)
from smallobj.evaluation.metrics.error_costs import COLUMNS, error_costs
from smallobj.evaluation.metrics.errors import Errors, find_errors
from smallobj.evaluation.metrics.misses import froc_score, log_average_miss_rate, miss_curve
from smallobj.evaluation.metrics.operating_points import best_point, operating_curve
from smallobj.evaluation.metrics.size_bins import (
    DEFAULT_BINS,
    SizeBin,
    parse_size_bins,
    size_rankings,
)
from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.evaluation.statistics.seam_figures import zone_figures

Watch = Callable[[EvaluationSet, Errors], None]


class AnalysisEvaluator(DetectionEvaluator):
    """The figures of the report at IoU 0.5, in percent, for TensorBoard and metrics.json."""

    @configurable
    def __init__(
        self,
        dataset_name: str,
        *,
        bins: Sequence[SizeBin] = DEFAULT_BINS,
        max_detections: int = 100,
        watch: Watch | None = None,
    ) -> None:
        """
        Args:
            dataset_name: a registered dataset.
            bins: sizes of objects that are looked at apart.
            max_detections: the most confident detections that count, per image and class.
            watch: is shown what was evaluated, to draw it, say.
        """
        super().__init__(dataset_name)
        self.bins = bins
        self.max_detections = max_detections
        self.watch = watch

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str, output_dir: str) -> dict[str, Any]:
        return {
            "dataset_name": dataset_name,
            "bins": parse_size_bins(cfg.TEST.SIZE_BINS),
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    def score(self, data: EvaluationSet) -> dict[str, dict[str, float]]:
        """{"sizes": {"AP50-10-20", "recall-10-20" ...}, "best-F1": {...}, "misses": {...},
        "errors": {"classification" ...: points of AP50 that mending them would give},
        "calibration": {"ECE"}, and of tiled detectors "seams": {"recall-off", "duplicates-off",
        ... beside, cut}}."""
        # Once, for the figures and for ``watch``.
        errors = find_errors(data, max_detections=self.max_detections)
        if self.watch:
            self.watch(data, errors)
        results = {
            "sizes": size_figures(data, self.bins, self.max_detections),
            **figures_at_half(data, errors),
        }
        for name, group in results.items():
            self.logger.info(f"{name}:\n" + create_small_table(group))
        return results


def size_figures(
    data: EvaluationSet, bins: Sequence[SizeBin], max_detections: int
) -> dict[str, float]:
    """AP50 and recall at IoU 0.5 of each bin in percent; NaN for a bin without labels."""
    figures = {}
    by_bin = size_rankings(data, bins, iou_thresholds=(0.5,), max_detections=max_detections)
    for size_bin, (rankings,) in zip(bins, by_bin, strict=True):
        name = size_bin.name.replace(" ", "-")
        found = np.stack([recall(ranking) for ranking in rankings])
        figures[f"AP50-{name}"] = _percent(mean_of_defined(class_average_precision(rankings)))
        figures[f"recall-{name}"] = _percent(mean_of_defined(found))
    return figures


def seam_summary(data: EvaluationSet, min_score: float) -> dict[str, float]:
    """Recall, and duplicates of a hundred objects, off, beside and on the edges of tiles.

    Args:
        data: labels and detections, with tiles.
        min_score: of detections that count.
    """
    figures = {}
    for zone in zone_figures(data, min_score):
        figures[f"recall-{zone.name}"] = _percent(zone.recall.value)
        figures[f"duplicates-{zone.name}"] = _percent(zone.duplicates.value)
    return figures


def figures_at_half(data: EvaluationSet, errors: Errors) -> dict[str, dict[str, float]]:
    """Groups of figures, all classes in one list, in percent.

    Args:
        data: labels and detections.
        errors: of them, at IoU 0.5.
    """
    pooled = pooled_ranking(data, errors.matches)
    best = best_point(operating_curve(pooled))
    point = (np.nan,) * 4
    if best is not None:
        point = (best.f1, best.precision, best.recall, best.confidence)
    names = ("F1", "precision", "recall", "confidence")
    curve = miss_curve(pooled, len(data.image_ids))
    gains = error_costs(data, errors).total.gains
    figures = {
        "best-F1": dict(zip(names, map(_percent, point), strict=True)),
        "misses": {
            "LAMR": _percent(log_average_miss_rate(curve)),
            "FROC": _percent(froc_score(curve)),
        },
        "errors": {
            name.replace("_", "-"): _percent(gain)
            for name, gain in zip(COLUMNS, gains, strict=True)
        },
        "calibration": {"ECE": _percent(_calibration_error(pooled))},
    }
    if data.tiles:
        # Where no detection is right, none counts.
        figures["seams"] = seam_summary(data, np.inf if best is None else best.confidence)
    return figures


def _calibration_error(pooled: Ranking) -> float:
    """NaN for scores that are no probabilities, such as sums of several models'."""
    # The ranking starts at the highest score.
    is_probability = len(pooled.scores) == 0 or pooled.scores[0] <= 1
    return reliability(pooled).expected_error if is_probability else float("nan")


def _percent(share: float | np.ndarray) -> float:
    return float(share) * 100
