"""Mergers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


def build_merger(cfg: CfgNode, key: str = "TEST.MERGER") -> Merger:
    """The merger that NAME below ``key`` names: a short name, or that of a registered class.

    Args:
        cfg: the config.
        key: of the merger's keys; others than TEST.MERGER hold the same ones.

    Raises:
        ValueError: no merger has that name, or a value out of range.
    """
    with keys_below(cfg, key) as own:
        return _build(own)


@contextmanager
def keys_below(cfg: CfgNode, key: str) -> Iterator[CfgNode]:
    """A copy of the config whose TEST.MERGER is what stands below ``key``; errors name ``key``."""
    node = cfg
    for part in key.split("."):
        node = node[part]
    own = cfg.clone()
    own.defrost()
    own.TEST.MERGER = node.clone()
    try:
        yield own
    except ValueError as error:
        raise ValueError(str(error).replace("TEST.MERGER", key)) from error


def _build(cfg: CfgNode) -> Merger:
    name = cfg.TEST.MERGER.NAME
    registered = _NAMES.get(name, name)
    if registered not in MERGER_REGISTRY:
        known = sorted(_NAMES) + sorted(key for key, _ in MERGER_REGISTRY)
        raise ValueError(f"TEST.MERGER.NAME must be one of {known}; got {name!r}")
    return MERGER_REGISTRY.get(registered)(cfg)
