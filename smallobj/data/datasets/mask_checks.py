"""Checks that labels have the masks needed to train or evaluate a mask model."""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from smallobj.data.datasets.register import registered_spec
from smallobj.data.labels.problems import DatasetError, Problem, shown

MASK_RULE = "with masks (MODEL.MASK_ON, or the metric coco_masks) every label needs a segmentation"
POLYGONS_ONLY = "with INPUT.MASK_FORMAT polygon, masks must be polygons (bitmask takes both kinds)"


def check_masks(cfg: CfgNode, names: Sequence[str]) -> None:
    """Checks that every label used to train or evaluate a mask model has a mask of the right kind.

    Args:
        cfg: the config; DATASETS.TRAIN and TEST, MODEL.MASK_ON, INPUT.MASK_FORMAT and TEST.METRICS
            are read.
        names: the datasets to check.

    Raises:
        DatasetError: labels have no such mask; lists them.
    """
    train = list(cfg.DATASETS.TRAIN) if cfg.MODEL.MASK_ON else []
    test = list(cfg.DATASETS.TEST) if "coco_masks" in cfg.TEST.METRICS else []
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        if name in train:
            problems += _mask_problems(name, cfg.INPUT.MASK_FORMAT == "polygon", False)
        elif name in test:
            problems += _mask_problems(name, False, True)
    if problems:
        raise DatasetError(problems)


def _mask_problems(name: str, polygons_only: bool, with_crowds: bool) -> list[Problem]:
    spec = registered_spec(name)
    problems = []
    for record in DatasetCatalog.get(name):
        for annotation in record.get("annotations", []):
            if annotation.get("iscrowd", 0) and not with_crowds:
                continue
            mask = annotation.get("segmentation")
            if mask and not (polygons_only and isinstance(mask, dict)):
                continue
            file = spec.annotations if spec else f"dataset {name}"
            entry = f"{record['file_name']}, box {shown(list(annotation['bbox']))}"
            rule, value = (POLYGONS_ONLY, "a run-length mask") if mask else (MASK_RULE, "none")
            problems.append(Problem(file, entry, rule, value))
    return problems
