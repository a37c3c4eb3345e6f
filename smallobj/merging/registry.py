"""Mergers by name."""

from __future__ import annotations

from collections.abc import Callable

from detectron2.config import CfgNode
from detectron2.structures import Instances
from detectron2.utils.registry import Registry

MERGER_REGISTRY = Registry("MERGER")
MERGER_REGISTRY.__doc__ = """
Mergers, named by TEST.MERGER.NAME. Built as ``merger(cfg)``; maps Instances with pred_boxes,
scores and pred_classes in the image frame to fewer of them, by falling score.
"""

Merger = Callable[[Instances], Instances]

_NAMES = {
    "nms": "NMSMerger",
    "soft_nms": "SoftNMSMerger",
    "nmm": "NMMMerger",
    "wbf": "WBFMerger",
    "vote": "VoteMerger",
    "soft_vote": "SoftVoteMerger",
}


def build_merger(cfg: CfgNode) -> Merger:
    """The merger that TEST.MERGER.NAME names: a short name, or that of a registered class.

    Raises:
        ValueError: no merger has that name.
    """
    name = cfg.TEST.MERGER.NAME
    registered = _NAMES.get(name, name)
    if registered not in MERGER_REGISTRY:
        known = sorted(_NAMES) + sorted(key for key, _ in MERGER_REGISTRY)
        raise ValueError(f"TEST.MERGER.NAME must be one of {known}; got {name!r}")
    return MERGER_REGISTRY.get(registered)(cfg)
