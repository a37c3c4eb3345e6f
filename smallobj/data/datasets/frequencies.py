"""The share of images that show each class, for losses that treat rare classes differently."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from smallobj.data.datasets.register import class_names

_logger = logging.getLogger(__name__)


def class_frequencies(names: Sequence[str]) -> list[float]:
    """For each class, the share of the images of all these datasets that show it.

    Args:
        names: at least one dataset; all must have the same classes. Crowd regions don't count.

    Returns:
        K numbers in [0, 1].
    """
    counts = [0] * len(class_names(names[0]))
    images = 0
    for name in names:
        for record in DatasetCatalog.get(name):
            images += 1
            annotations = record.get("annotations", [])
            for category in {a["category_id"] for a in annotations if not a.get("iscrowd", 0)}:
                counts[category] += 1
    return [count / max(images, 1) for count in counts]


def resolve_class_frequencies(cfg: CfgNode) -> CfgNode:
    """Fills an empty MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES from DATASETS.TRAIN, if a loss needs it.

    The config is changed in place and returned. Frequencies that it already has stay the same.
    """
    head = cfg.MODEL.ROI_BOX_HEAD
    if not head.CLS_LOSS.startswith("equalization") or not cfg.DATASETS.TRAIN:
        return cfg
    if not head.CLASS_FREQUENCIES:
        frequencies = class_frequencies(cfg.DATASETS.TRAIN)
        was_frozen = cfg.is_frozen()
        cfg.defrost()
        head.CLASS_FREQUENCIES = frequencies
        if was_frozen:
            cfg.freeze()
    _tell_rare(cfg)
    return cfg


def _tell_rare(cfg: CfgNode) -> None:
    head = cfg.MODEL.ROI_BOX_HEAD
    by_name = sorted(zip(head.CLASS_FREQUENCIES, class_names(cfg.DATASETS.TRAIN[0]), strict=False))
    threshold = head.EQUALIZATION_LAMBDA
    rare = [f"{name} {share:.5f}" for share, name in by_name if share < threshold]
    if rare:
        # TR of arXiv 2003.05176, section 3, by which the authors chose lambda.
        total = sum(head.CLASS_FREQUENCIES)
        tail = sum(share for share, _ in by_name if share < threshold) / total if total else 0.0
        _logger.info(
            "rare classes, below MODEL.ROI_BOX_HEAD.EQUALIZATION_LAMBDA %g: %s; tail ratio %.3f",
            threshold,
            ", ".join(rare),
            tail,
        )
    else:
        _logger.warning(
            "no class is rarer than MODEL.ROI_BOX_HEAD.EQUALIZATION_LAMBDA %g, so the equalization "
            "loss spares none; the rarest: %s",
            threshold,
            ", ".join(f"{name} {share:.5f}" for share, name in by_name[:5]),
        )
