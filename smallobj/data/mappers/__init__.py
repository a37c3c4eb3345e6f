"""Training mappers: a photograph and its labels in, training dicts out."""

from smallobj.data.mappers import focus, squash, tile
from smallobj.data.mappers.registry import MAPPER_REGISTRY, build_train_mapper

__all__ = ["MAPPER_REGISTRY", "build_train_mapper", "focus", "squash", "tile"]
