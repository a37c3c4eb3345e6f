"""The keys that a user sets, apart from those of the shipped config behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode

from smallobj.config.reading import read_config_tree
from smallobj.config_files import find_config


def given_keys(config_file: str, opts: Sequence[str], defaults: CfgNode) -> dict[str, str]:
    """The keys that options set, then those that a config file itself sets; with values as text.

    Keys of ``_BASE_`` files are left out, and keys that have their default value.

    Args:
        config_file: as in :func:`smallobj.load_config`, which has read it without errors.
        opts: KEY VALUE pairs.
        defaults: the config without any file.
    """
    path = find_config(config_file)
    tree = read_config_tree(path)
    given = {str(key): str(value) for key, value in zip(opts[::2], opts[1::2], strict=True)}
    for name, file in tree.files.items():
        value = _value(tree.values, name)
        if file == path and not _is_default(defaults, name, value):
            given.setdefault(name, _text(value))
    return given


def _value(node: Any, name: str) -> Any:
    for word in name.split("."):
        node = node[word]
    return node


def _is_default(defaults: CfgNode, name: str, value: Any) -> bool:
    default = _value(defaults, name)
    decoded = CfgNode._decode_cfg_value(value) if isinstance(value, str) else value
    return bool(_plain(default) == _plain(decoded))


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else repr(value)
