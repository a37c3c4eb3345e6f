"""The registry of mergers, and how a merger is built from the config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode
from detectron2.structures import Instances

from smallobj.registry import NamedRegistry

MERGER_REGISTRY = NamedRegistry("MERGER")
MERGER_REGISTRY.__doc__ = """
Mergers, chosen by NAME in TEST.MERGER, TEST.TTA.MERGER and TEST.ENSEMBLE.MERGER. An entry is called
as ``merger(node, key=..., nwd_constant=...)`` with the config node that names it, the node's key in
the config, and MODEL.NWD_CONSTANT. It returns a callable that maps Instances with pred_boxes,
scores and pred_classes in the image frame to the merged Instances, by falling score.
"""

Merger = Callable[[Instances], Instances]


def build_merger(cfg: CfgNode, key: str = "TEST.MERGER") -> Merger:
    """Builds the merger described by the config node ``key``.

    Args:
        cfg: the config.
        key: key of the merger's node.

    Raises:
        ValueError: no merger has the name NAME, or a value is out of range.
    """
    name = _node_of(cfg, key).NAME
    return make_merger(MERGER_REGISTRY.find(name, f"{key}.NAME"), cfg, key)


def make_merger(kind: Callable[..., Merger], cfg: CfgNode, key: str, **options: Any) -> Merger:
    """Builds a merger of the given kind with the values in the config node ``key``.

    Args:
        kind: an entry of MERGER_REGISTRY, or a callable with the same arguments.
        cfg: the config.
        key: key of the merger's node.
        options: further arguments of ``kind``.
    """
    return kind(_node_of(cfg, key), key=key, nwd_constant=cfg.MODEL.NWD_CONSTANT, **options)


def _node_of(cfg: CfgNode, key: str) -> CfgNode:
    node = cfg
    for part in key.split("."):
        node = node[part]
    return node
