"""Evaluators by the names that the config uses."""

from __future__ import annotations

import os
from functools import partial

from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluators

from smallobj.evaluation.evaluators.analysis import AnalysisEvaluator, Watch
from smallobj.evaluation.evaluators.challenge import ChallengeEvaluator
from smallobj.evaluation.evaluators.coco import FastCOCOEvaluator, MaskCOCOEvaluator
from smallobj.evaluation.evaluators.focus import FocusEvaluator
from smallobj.evaluation.metrics.size_bins import parse_size_bins

METRICS = ("coco", "coco_masks", "challenge", "analysis", "focus")


def build_evaluator(
    cfg: CfgNode, dataset_name: str, output_dir: str | None = None, watch: Watch | None = None
) -> DatasetEvaluators:
    """The metrics that ``TEST.METRICS`` names, as one evaluator.

    Args:
        cfg: TEST.METRICS, TEST.SIZE_BINS, TEST.CHALLENGE, TEST.FOCUS and
            TEST.DETECTIONS_PER_IMAGE are read.
        dataset_name: a registered dataset.
        output_dir: for files with detections; OUTPUT_DIR/inference unless said otherwise.
        watch: as :class:`AnalysisEvaluator`.

    Raises:
        ValueError: a metric that does not exist, or one named twice; TEST.SIZE_BINS isn't right.
    """
    names = list(cfg.TEST.METRICS)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"TEST.METRICS: unknown {unknown}; known are {list(METRICS)}")
    if len(set(names)) < len(names):
        raise ValueError(f"TEST.METRICS: each metric once at most, got {names}")
    output_dir = output_dir or os.path.join(cfg.OUTPUT_DIR, "inference")
    coco, coco_masks = (
        partial(kind, dataset_name, output_dir, cfg.TEST.DETECTIONS_PER_IMAGE)
        for kind in (FastCOCOEvaluator, MaskCOCOEvaluator)
    )
    rules = cfg.TEST.CHALLENGE
    challenge = partial(
        ChallengeEvaluator, dataset_name, plus_one=rules.PLUS_ONE, fall_back=rules.FALL_BACK
    )
    analysis = partial(
        AnalysisEvaluator,
        dataset_name,
        bins=parse_size_bins(cfg.TEST.SIZE_BINS),
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        watch=watch,
    )
    choice = cfg.TEST.FOCUS
    focus = partial(
        FocusEvaluator,
        dataset_name,
        threshold=choice.HEAT_THRESH,
        windows=choice.WINDOWS,
        margins=choice.MARGINS,
        max_area=choice.MAX_AREA,
        keep=choice.KEEP,
    )
    makers = {
        "coco": coco,
        "coco_masks": coco_masks,
        "challenge": challenge,
        "analysis": analysis,
        "focus": focus,
    }
    return DatasetEvaluators([makers[name]() for name in names])
