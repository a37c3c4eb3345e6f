"""Training mappers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetMapper
from detectron2.utils.registry import Registry

MAPPER_REGISTRY = Registry("MAPPER")
MAPPER_REGISTRY.__doc__ = """
Training mappers, named by INPUT.MAPPER. Called as ``mapper(cfg)``; maps a dataset dict to a list
of training dicts (or to one, like Detectron2's DatasetMapper).
"""

# Detectron2's own, which resizes the whole image by INPUT.MIN_SIZE_TRAIN.
MAPPER_REGISTRY.register(DatasetMapper)

Mapper = Callable[[dict[str, Any]], "list[dict[str, Any]] | dict[str, Any] | None"]


def build_train_mapper(cfg: CfgNode) -> Mapper:
    """The mapper that INPUT.MAPPER names.

    Raises:
        ValueError: no mapper has that name.
    """
    name = cfg.INPUT.MAPPER
    if name not in MAPPER_REGISTRY:
        known = sorted(key for key, _ in MAPPER_REGISTRY)
        raise ValueError(f"INPUT.MAPPER must be one of {known}; got {name!r}")
    return MAPPER_REGISTRY.get(name)(cfg)
