"""Training mappers: from an image and its labels to training dicts."""

from smallobj.data.mappers import focus, squash, tile, whole
from smallobj.data.mappers.registry import MAPPER_REGISTRY, build_train_mapper

__all__ = ["MAPPER_REGISTRY", "build_train_mapper", "focus", "squash", "tile", "whole"]
