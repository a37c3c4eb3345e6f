"""Fits YOLO's anchors to the training data if the config doesn't give them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from detectron2.config import CfgNode

from smallobj.data.survey import survey_datasets
from smallobj.geometry.anchors import fit_sides, shape_iou

# As in the paper, which has nine anchors on three features.
PER_FEATURE = 3
_logger = logging.getLogger(__name__)


def resolve_yolo_anchors(cfg: CfgNode, names: Sequence[str] | None = None) -> CfgNode:
    """Fits MODEL.YOLO.ANCHORS of a YOLOv3, if it is empty, to the boxes of DATASETS.TRAIN.

    The method is k-means with the distance 1 - IoU (arXiv 1804.02767, section 2.3), on boxes in
    pixels of the network's input. The same data give the same anchors, so a resumed run keeps its
    anchors. The config is changed in place and returned; configs of other detectors stay unchanged.

    Args:
        cfg: config of any detector.
        names: datasets to use instead of DATASETS.TRAIN.

    Raises:
        ValueError: the data have no object.
    """
    node = cfg.MODEL.YOLO
    if cfg.MODEL.META_ARCHITECTURE != "YOLOv3" or len(node.ANCHORS):
        return cfg
    survey = survey_datasets(cfg, list(cfg.DATASETS.TRAIN if names is None else names))
    fitted = fit_sides(survey.sides, PER_FEATURE * len(node.IN_FEATURES))
    node.ANCHORS = tuple(tuple(pair) for pair in fitted.tolist())
    _logger.info(
        "MODEL.YOLO.ANCHORS fitted to %d objects of %s, mean IoU %.3f: %s",
        len(survey.sides),
        ", ".join(survey.names),
        shape_iou(survey.sides, fitted).max(axis=1).mean(),
        node.ANCHORS,
    )
    return cfg
