"""The registry of training mappers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode

from smallobj.registry import NamedRegistry

MAPPER_REGISTRY = NamedRegistry("MAPPER")
MAPPER_REGISTRY.__doc__ = """
Training mappers, chosen by INPUT.MAPPER. An entry is called as ``mapper(cfg)`` and returns a
callable that maps a dataset dict to a list of training dicts (or to a single one, like Detectron2's
DatasetMapper).
"""

Mapper = Callable[[dict[str, Any]], "list[dict[str, Any]] | dict[str, Any] | None"]


def build_train_mapper(cfg: CfgNode) -> Mapper:
    """Builds the mapper named by INPUT.MAPPER.

    Raises:
        ValueError: no mapper has that name.
    """
    return MAPPER_REGISTRY.find(cfg.INPUT.MAPPER, "INPUT.MAPPER")(cfg)
