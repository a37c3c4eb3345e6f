"""The lowest score of a detection: where each meta-architecture keeps it in the config."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY

# For Detectron2's meta-architectures; this project's have a class attribute ``key``.
_NODES = {
    "GeneralizedRCNN": "ROI_HEADS",
    "ProposalNetwork": None,
    "PanopticFPN": "ROI_HEADS",
    "RetinaNet": "RETINANET",
}


def score_threshold_key(cfg: CfgNode) -> str | None:
    """Name of the key that holds the lowest score of a detection at test time.

    Returns:
        The key; None for a model without such a key: one that detects no objects, such as FocusNet,
        or another package's meta-architecture without an attribute ``key``.

    >>> from smallobj.config import get_cfg
    >>> cfg = get_cfg()
    >>> cfg.MODEL.META_ARCHITECTURE = "SSD"
    >>> score_threshold_key(cfg)
    'MODEL.SSD.SCORE_THRESH_TEST'
    """
    name = _node_name(cfg)
    return None if name is None else f"MODEL.{name}.SCORE_THRESH_TEST"


def score_threshold(cfg: CfgNode) -> float:
    """The lowest score of a detection at test time; 0 for a model without such a key."""
    node = _node(cfg)
    return 0.0 if node is None else float(node.SCORE_THRESH_TEST)


def set_score_threshold(cfg: CfgNode, threshold: float) -> None:
    """Makes a detector return only detections of at least this score, in [0, 1]."""
    node = _node(cfg)
    if node is not None:
        node.SCORE_THRESH_TEST = float(threshold)


def lower_score_threshold(cfg: CfgNode, threshold: float) -> None:
    """Lowers all score thresholds of the config that exceed ``threshold``.

    These are the model's own threshold and those of the mergers, which drop boxes whose score they
    have lowered. MODEL.RPN.SCORE_THRESH_TEST stays, since objectness is not a detection's score.
    """
    node = _node(cfg)
    if node is not None:
        node.SCORE_THRESH_TEST = min(float(node.SCORE_THRESH_TEST), float(threshold))
    for merger in (cfg.TEST.MERGER, cfg.TEST.TTA.MERGER, cfg.TEST.ENSEMBLE.MERGER):
        merger.SCORE_THRESH = min(float(merger.SCORE_THRESH), float(threshold))


def _node_name(cfg: CfgNode) -> str | None:
    """Name of the node below MODEL that holds the detector's SCORE_THRESH_TEST."""
    name = cfg.MODEL.META_ARCHITECTURE
    return _NODES[name] if name in _NODES else getattr(META_ARCH_REGISTRY.get(name), "key", None)


def _node(cfg: CfgNode) -> CfgNode | None:
    name = _node_name(cfg)
    return None if name is None else cfg.MODEL[name]
