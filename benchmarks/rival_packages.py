"""Import of packages with which the benchmarks compare; the project itself does not need them."""

from __future__ import annotations

import importlib
import logging
from typing import Any


class RivalUnavailable(Exception):
    """A rival cannot run; the message is a sentence that says why and what to do."""


def import_rival(module: str) -> Any:
    """Imports a module of a package in requirements-benchmark.txt.

    Raises:
        RivalUnavailable: the package is not installed.
    """
    package = module.split(".")[0]
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise RivalUnavailable(
            f"{package} is not importable ({error}); "
            "install the rivals with: pip install -r requirements-benchmark.txt"
        ) from error
    # SAHI repeats the same warning for each image.
    logging.getLogger(package).setLevel(logging.ERROR)
    return imported
