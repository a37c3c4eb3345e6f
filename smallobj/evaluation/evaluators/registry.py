"""Evaluators by the names that the config uses."""

from __future__ import annotations

import os
from collections.abc import Iterable

from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluators

from smallobj.evaluation.evaluators.analysis import AnalysisEvaluator, Watch
from smallobj.evaluation.evaluators.by_name import EvaluatorsByName
from smallobj.evaluation.evaluators.challenge import ChallengeEvaluator
from smallobj.evaluation.evaluators.coco import FastCOCOEvaluator, MaskCOCOEvaluator
from smallobj.evaluation.evaluators.detection_evaluator import DetectionEvaluator
from smallobj.evaluation.evaluators.focus import FocusEvaluator
from smallobj.registry import NamedRegistry

EVALUATOR_REGISTRY = NamedRegistry("EVALUATOR")
EVALUATOR_REGISTRY.__doc__ = """
Detectron2 evaluators, named by TEST.METRICS. Made as ``evaluator(cfg, dataset_name, output_dir)``.
One that has a ``headline``, the name of a figure in the event storage such as "bbox/AP50", chooses
the best checkpoint: where that figure is highest. Of several, the one registered first does.
"""
EVALUATOR_REGISTRY.register(FastCOCOEvaluator, name="coco")
EVALUATOR_REGISTRY.register(ChallengeEvaluator, name="challenge")
EVALUATOR_REGISTRY.register(MaskCOCOEvaluator, name="coco_masks")
EVALUATOR_REGISTRY.register(FocusEvaluator, name="focus")
EVALUATOR_REGISTRY.register(AnalysisEvaluator, name="analysis")


def build_evaluator(
    cfg: CfgNode, dataset_name: str, output_dir: str | None = None, watch: Watch | None = None
) -> DatasetEvaluators:
    """The metrics that ``TEST.METRICS`` names, as one evaluator.

    Classes of MODEL.CLASS_NAMES are matched with the dataset's by name.

    Args:
        cfg: TEST.METRICS, and what the evaluators read of it.
        dataset_name: a registered dataset.
        output_dir: for files with detections; OUTPUT_DIR/inference unless said otherwise.
        watch: as :class:`AnalysisEvaluator`.

    Raises:
        ValueError: a metric that does not exist, or one named twice; TEST.SIZE_BINS isn't right;
            the model and the dataset have other classes.
    """
    names = list(cfg.TEST.METRICS)
    kinds = [EVALUATOR_REGISTRY.find(name, "TEST.METRICS") for name in names]
    if len(set(names)) < len(names):
        raise ValueError(f"TEST.METRICS: each metric once at most, got {names}")
    output_dir = output_dir or os.path.join(cfg.OUTPUT_DIR, "inference")
    evaluators = [kind(cfg, dataset_name, output_dir) for kind in kinds]
    for evaluator in evaluators:
        if isinstance(evaluator, AnalysisEvaluator):
            # Set afterwards: registered evaluators are all made with the same three arguments.
            evaluator.watch = watch
    # A focus network finds objects of any class.
    is_detector = cfg.MODEL.META_ARCHITECTURE != "FocusNet"
    classes = cfg.MODEL.CLASS_NAMES if is_detector else ()
    return EvaluatorsByName(evaluators, dataset_name, classes, cfg.TEST.COMMON_CLASSES_ONLY)


def headline_of(names: Iterable[str]) -> str | None:
    """Name in the event storage of the figure that chooses the best checkpoint.

    Args:
        names: as TEST.METRICS.

    Returns:
        The headline of the evaluator registered first among those; None if none has one.
    """
    wanted = set(names)
    return next((headline for name, headline in headlines().items() if name in wanted), None)


def headlines() -> dict[str, str]:
    """The figures that may choose the best checkpoint, by the name of their metric."""
    found = {name: getattr(kind, "headline", None) for name, kind in EVALUATOR_REGISTRY}
    return {name: headline for name, headline in found.items() if headline}


def needs_labels(headline: str) -> bool:
    """Whether a figure is of detections on labelled objects, and not defined without these."""
    kinds = [kind for _, kind in EVALUATOR_REGISTRY if getattr(kind, "headline", "") == headline]
    return all(isinstance(kind, type) and issubclass(kind, DetectionEvaluator) for kind in kinds)
