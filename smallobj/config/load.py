"""The only way in which a config file is read."""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg

from smallobj.checks import check_pairs
from smallobj.config.data import add_data_keys
from smallobj.config.key_checks import check_options, check_tree
from smallobj.config.model import add_model_keys
from smallobj.config.reading import read_config_tree
from smallobj.config.renamed import refuse_renamed_keys
from smallobj.config.solver import add_solver_keys
from smallobj.config.test import add_test_keys
from smallobj.config_files import find_config


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
        path: yaml file, or the name of a shipped config, as in
            :func:`smallobj.config_files.find_config`; None for the defaults alone.
        opts: KEY VALUE pairs that override it.

    Raises:
        FileNotFoundError: the file, or one that it names in ``_BASE_``, is not there.
        ValueError: a Python tag (refused), broken yaml, a loop of ``_BASE_``, a web address, an
            unknown key or a value of a wrong type.
    """
    cfg = get_cfg()
    if path is not None:
        path = find_config(path)
        tree = read_config_tree(path)
        check_tree(cfg, tree, path)
        cfg.merge_from_other_cfg(CfgNode(tree.values))
    check_pairs(opts)
    cfg.merge_from_list(check_options(cfg, opts))
    return cfg
