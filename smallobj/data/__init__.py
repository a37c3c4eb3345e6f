"""Datasets, mappers and loaders; importing registers the built-in datasets and mappers."""

from smallobj.data import datasets, mappers
from smallobj.data.build import build_test_loader, build_train_loader

datasets.register_builtin()

__all__ = ["build_test_loader", "build_train_loader", "datasets", "mappers"]
