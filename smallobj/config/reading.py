"""Reads a yaml config with its ``_BASE_`` files, and remembers which file each value is from."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import yaml

from smallobj.config_files import find_config

BASE_KEY = "_BASE_"


class ConfigTree(NamedTuple):
    """The values of a config file and of its bases.

    Attributes:
        values: nested dicts.
        files: for the dotted name of each value, the file that sets it.
    """

    values: dict[str, Any]
    files: dict[str, str]


def read_config_tree(path: str, chain: tuple[str, ...] = ()) -> ConfigTree:
    """Reads a config file; a file overrides its bases, and a base those before it in a list.

    Args:
        path: yaml file.
        chain: the files that lead to this one by ``_BASE_``.

    Raises:
        FileNotFoundError: a base does not exist.
        ValueError: broken yaml, a Python tag (refused), a wrong ``_BASE_``, or a loop of bases.
    """
    if os.path.realpath(path) in map(os.path.realpath, chain):
        loop = " -> ".join((*chain, path))
        raise ValueError(f"{path}: the {BASE_KEY} files form a loop: {loop}")
    own = _read_yaml(path)
    result = ConfigTree({}, {})
    for base in _bases(own.pop(BASE_KEY, ()), path):
        _merge(read_config_tree(find_config(base, path), (*chain, path)), result)
    _merge(ConfigTree(own, dict.fromkeys(_leaves(own), path)), result)
    return result


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except yaml.constructor.ConstructorError as error:
        raise ValueError(
            f"{path}: refused, it carries a Python tag ({error.problem}). A tag like "
            "!!python/object runs code when loaded; write the value as plain yaml instead."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as yaml: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(
            f"{path}: a config holds sections and keys, such as 'SEED: 1'; got "
            f"{type(content).__name__} {str(content)[:60]!r}"
        )
    return content


def _bases(value: Any, path: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    is_list = isinstance(names, list | tuple)
    if not is_list or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{path}: {BASE_KEY} names a config file or lists several; got {value!r}")
    return list(names)


def _leaves(node: dict[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        names += _leaves(value, f"{name}.") if isinstance(value, dict) and value else [name]
    return names


def _merge(top: ConfigTree, below: ConfigTree) -> None:
    """Merges a tree into one that it overrides."""
    _merge_section("", top.values, below.values, top, below)
    below.files.update(top.files)


def _merge_section(
    prefix: str,
    values: dict[str, Any],
    target: dict[str, Any],
    top: ConfigTree,
    below: ConfigTree,
) -> None:
    """Merges the section of ``top`` whose dotted name is ``prefix`` into that of ``below``."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if not isinstance(value, dict) or key not in target:
            target[key] = value
        elif isinstance(target[key], dict):
            _merge_section(f"{name}.", value, target[key], top, below)
        else:
            raise ValueError(
                f"{file_of(name, top)}: {name} is a section of keys here, and a value in "
                f"{file_of(name, below)}"
            )


def file_of(name: str, tree: ConfigTree) -> str:
    """The file that sets a key, or the first key in a section, of this dotted name."""
    inside = (file for key, file in tree.files.items() if key.startswith(f"{name}."))
    return tree.files.get(name) or next(inside, "a config file")
