"""The only way in which a config file is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg

from smallobj.checks import check_file, check_pairs
from smallobj.config.data import add_data_keys
from smallobj.config.model import add_model_keys
from smallobj.config.renamed import refuse_renamed_keys
from smallobj.config.solver import add_solver_keys
from smallobj.config.test import add_test_keys


def add_smallobj_config(cfg: CfgNode) -> None:
    """Adds this project's keys to a Detectron2 config. Lengths are pixels unless said otherwise."""
    add_data_keys(cfg)
    add_model_keys(cfg)
    add_solver_keys(cfg)
    add_test_keys(cfg)
    refuse_renamed_keys(cfg)


def get_cfg() -> CfgNode:
    """Detectron2's default config with this project's keys."""
    cfg = get_detectron2_cfg()
    add_smallobj_config(cfg)
    return cfg


def load_config(path: str | None, opts: Sequence[str] = ()) -> CfgNode:
    """Reads a yaml config and its ``_BASE_`` files without running code from them.

    Args:
        path: yaml file; None for the defaults alone.
        opts: KEY VALUE pairs that override it.

    Raises:
        FileNotFoundError: the file, or one that it names in ``_BASE_``, is not there.
        ValueError: a Python tag (refused), broken yaml, an unknown key or a value of a wrong type.
    """
    cfg = get_cfg()
    try:
        if path is not None:
            cfg.merge_from_other_cfg(CfgNode(_read_yaml(os.fspath(path))))
    except yaml.constructor.ConstructorError as error:
        raise ValueError(
            f"{path}: refused, it carries a Python tag ({error.problem}). A tag like "
            "!!python/object runs code when loaded; write the value as plain yaml instead."
        ) from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as yaml: {error}") from error
    except (KeyError, AssertionError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error.args[0] if error.args else error}") from error
    check_pairs(opts)
    try:
        cfg.merge_from_list(list(opts))
    except (KeyError, AssertionError, ValueError) as error:
        raise ValueError(f"bad option: {error.args[0] if error.args else error}") from error
    return cfg


def _read_yaml(path: str) -> dict[str, Any]:
    check_file("config file", path)
    with open(path, encoding="utf-8") as file:
        # An empty file gives None, in which Detectron2 would look for _BASE_ and fail.
        if yaml.safe_load(file) is None:
            return {}
    return CfgNode.load_yaml_with_base(path, allow_unsafe=False)
