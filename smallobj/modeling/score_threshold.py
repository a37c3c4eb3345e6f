"""The lowest score of a detection: where each meta-architecture keeps it in the config."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY

# Detectron2's own; this project's say it by their class attribute ``key``.
_NODES = {
    "GeneralizedRCNN": "ROI_HEADS",
    "ProposalNetwork": None,
    "PanopticFPN": "ROI_HEADS",
    "RetinaNet": "RETINANET",
}


def score_threshold_key(cfg: CfgNode) -> str | None:
    """Name of the key that holds the lowest score of a detection at test time.

    >>> score_threshold_key(cfg)  # of an SSD
    'MODEL.SSD.SCORE_THRESH_TEST'

    Returns:
        The key; None for a model without such a key: one that finds no objects, such as FocusNet,
        or another package's meta-architecture without an attribute ``key``.
    """
    name = cfg.MODEL.META_ARCHITECTURE
    node = _NODES[name] if name in _NODES else getattr(META_ARCH_REGISTRY.get(name), "key", None)
    return None if node is None else f"MODEL.{node}.SCORE_THRESH_TEST"


def score_threshold(cfg: CfgNode) -> float:
    """The lowest score of a detection at test time; 0 for a model without such a key."""
    node = _node(cfg)
    return 0.0 if node is None else float(node.SCORE_THRESH_TEST)


def set_score_threshold(cfg: CfgNode, threshold: float) -> None:
    """Makes a detector give the detections of at least this score, in [0, 1], and no others."""
    node = _node(cfg)
    if node is not None:
        node.SCORE_THRESH_TEST = float(threshold)


def lower_score_threshold(cfg: CfgNode, threshold: float) -> None:
    """Makes sure that no threshold of the config hides a detection of at least this score.

    Neither the model's own nor that of a merger, which drops boxes whose score it has lowered.
    (MODEL.RPN.SCORE_THRESH_TEST stays: an objectness is no score of a detection.)
    """
    node = _node(cfg)
    if node is not None:
        node.SCORE_THRESH_TEST = min(float(node.SCORE_THRESH_TEST), float(threshold))
    for merger in (cfg.TEST.MERGER, cfg.TEST.TTA.MERGER, cfg.TEST.ENSEMBLE.MERGER):
        merger.SCORE_THRESH = min(float(merger.SCORE_THRESH), float(threshold))


def _node(cfg: CfgNode) -> CfgNode | None:
    key = score_threshold_key(cfg)
    return None if key is None else cfg.MODEL[key.split(".")[1]]
