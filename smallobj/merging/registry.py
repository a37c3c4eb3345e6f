"""Mergers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode
from detectron2.structures import Instances

from smallobj.registry import NamedRegistry

MERGER_REGISTRY = NamedRegistry("MERGER")
MERGER_REGISTRY.__doc__ = """
Mergers, named by NAME in TEST.MERGER, TEST.TTA.MERGER and TEST.ENSEMBLE.MERGER. Made as
``merger(node, key=..., nwd_constant=...)``: the node that names it, where that stands in the
config, and MODEL.NWD_CONSTANT. What is made maps Instances with pred_boxes, scores and pred_classes
in the image frame to fewer of them, by falling score.
"""

Merger = Callable[[Instances], Instances]


def build_merger(cfg: CfgNode, key: str = "TEST.MERGER") -> Merger:
    """The merger that NAME below ``key`` names.

    Args:
        cfg: the config.
        key: of the merger's node.

    Raises:
        ValueError: no merger has that name, or a value out of range.
    """
    name = _node_of(cfg, key).NAME
    return make_merger(MERGER_REGISTRY.find(name, f"{key}.NAME"), cfg, key)


def make_merger(kind: Callable[..., Merger], cfg: CfgNode, key: str, **options: Any) -> Merger:
    """A merger of a kind, as described by the node below ``key``.

    Args:
        kind: as in MERGER_REGISTRY.
        options: what it wants to know besides.
    """
    return kind(_node_of(cfg, key), key=key, nwd_constant=cfg.MODEL.NWD_CONSTANT, **options)


def _node_of(cfg: CfgNode, key: str) -> CfgNode:
    node = cfg
    for part in key.split("."):
        node = node[part]
    return node
