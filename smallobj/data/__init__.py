"""Datasets, mappers and loaders; importing registers the built-in datasets and mappers."""

from smallobj.data import datasets
from smallobj.data.build import build_test_loader, build_train_loader
from smallobj.data.mappers import focus as focus_mapper
from smallobj.data.mappers import squash as squash_mapper
from smallobj.data.mappers import tile as tile_mapper

datasets.register_builtin()

__all__ = [
    "build_test_loader",
    "build_train_loader",
    "datasets",
    "focus_mapper",
    "squash_mapper",
    "tile_mapper",
]
