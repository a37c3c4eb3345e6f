"""Packages that only the benchmarks compare with; the project runs without them."""

from __future__ import annotations

import importlib
import logging
from typing import Any


class RivalUnavailable(Exception):
    """A rival can't take part; the message is a sentence that says why and what to do."""


def import_rival(module: str) -> Any:
    """A module of a package that requirements-benchmark.txt names.

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
