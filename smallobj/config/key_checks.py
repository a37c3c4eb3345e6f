"""Checks of the keys and values that a file or an option sets, all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from detectron2.config import CfgNode

from smallobj.config.reading import ConfigTree, file_of

_KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
}
_LEAST_SCORE = 0.72
_SUGGESTED = 3


def check_tree(cfg: CfgNode, tree: ConfigTree, path: str) -> None:
    """Checks the keys and values of a config file and its bases.

    Whole numbers for keys that want a number become float in the tree.

    Args:
        cfg: has all keys with their default values.
        tree: what was read.
        path: the config file, for the message.

    Raises:
        ValueError: unknown keys or values of a wrong type; names all of them, with their files.
    """
    problems = list(_section_problems(cfg, cfg, tree.values, "", tree))
    if len(problems) == 1:
        raise ValueError(problems[0])
    if problems:
        raise ValueError(f"{path}: {len(problems)} keys are wrong:\n  " + "\n  ".join(problems))


def check_options(cfg: CfgNode, opts: Sequence[Any]) -> list[Any]:
    """Checks KEY VALUE pairs.

    Returns:
        The pairs, with whole numbers for keys that want a number as float.

    Raises:
        ValueError: unknown keys or values of a wrong type; names all of them.
    """
    problems: list[str] = []
    checked: list[Any] = []
    for key, text in zip(opts[::2], opts[1::2], strict=True):
        node, found = cfg, True
        *sections, last = str(key).split(".")
        for word in sections:
            found = found and isinstance(node, CfgNode) and word in node
            node = node[word] if found else node
        if not found or not isinstance(node, CfgNode) or last not in node:
            if not cfg.key_is_deprecated(key):
                problems.append(_unknown(cfg, str(key), is_section=False))
            continue
        value = _as_number(node[last], CfgNode._decode_cfg_value(text))
        problem = _value_problem(node[last], value)
        if problem:
            problems.append(f"{key}: {problem}")
        checked += [key, value if isinstance(value, float) else text]
    if len(problems) == 1:
        raise ValueError(f"bad option: {problems[0]}")
    if problems:
        raise ValueError(f"{len(problems)} bad options:\n  " + "\n  ".join(problems))
    return checked


def _section_problems(
    cfg: CfgNode, node: CfgNode, values: dict[str, Any], prefix: str, tree: ConfigTree
) -> Iterator[str]:
    for key, given in values.items():
        name = f"{prefix}{key}"
        if key not in node:
            if not node.is_new_allowed() and not cfg.key_is_deprecated(name):
                yield f"{file_of(name, tree)}: {_unknown(cfg, name, isinstance(given, dict))}"
            continue
        default = node[key]
        if isinstance(default, CfgNode) and isinstance(given, dict):
            yield from _section_problems(cfg, default, given, f"{name}.", tree)
            continue
        value = CfgNode._decode_cfg_value(given) if isinstance(given, str) else given
        number = _as_number(default, value)
        if number is not value:
            values[key] = number
        problem = _value_problem(default, number)
        if problem:
            yield f"{file_of(name, tree)}: {name}: {problem}"


def _as_number(default: Any, value: Any) -> Any:
    return float(value) if type(default) is float and type(value) is int else value


def _value_problem(default: Any, value: Any) -> str:
    """What is wrong with a value; "" if it fits. As in yacs, None fits and is fitted by all."""
    if isinstance(default, CfgNode):
        return f"a section of keys is wanted, got {_shown(value)}"
    wanted, got = type(default), type(value)
    same = wanted is got or {wanted, got} <= {list, tuple}
    plain = (*_KINDS, type(None))
    if got in plain and (same or value is None or default is None):
        return ""
    return f"{_KINDS.get(wanted, 'a plain value')} is wanted, got {_shown(value)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a section of keys"
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{text} ({_KINDS.get(type(value), type(value).__name__)})"


def _unknown(cfg: CfgNode, name: str, is_section: bool) -> str:
    if cfg.key_is_renamed(name):
        try:
            cfg.raise_key_rename_error(name)
        except KeyError as error:
            return str(error.args[0])
    close = close_keys(name, known_keys(cfg, sections=is_section))
    advice = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"there is no key {name}{advice}"


def known_keys(node: CfgNode, sections: bool = False, prefix: str = "") -> list[str]:
    """The dotted names of all keys, or of all sections of keys."""
    names = []
    for key, value in node.items():
        is_section = isinstance(value, CfgNode)
        names += [f"{prefix}{key}"] if is_section == sections else []
        names += known_keys(value, sections, f"{prefix}{key}.") if is_section else []
    return names


def close_keys(name: str, known: Sequence[str]) -> list[str]:
    """The keys that a wrong name may mean, the most similar first, three at most.

    Keys that end with the whole name come first: "MAX_ITER" means "SOLVER.MAX_ITER". Otherwise the
    names are compared as a whole and by their last words.
    """
    wanted = name.upper()
    ending = [key for key in known if f".{key.upper()}".endswith(f".{wanted}")]
    if ending:
        return ending[:_SUGGESTED]
    scores = {key: _similarity(wanted, key.upper()) for key in known}
    best = max(scores.values(), default=0.0)
    close = [key for key, score in scores.items() if score >= max(_LEAST_SCORE, best - 0.1)]
    return sorted(close, key=lambda key: -scores[key])[:_SUGGESTED]


def _similarity(one: str, other: str) -> float:
    """In [0, 1]: the mean of the whole names' similarity and of their last words'."""
    ends = (one.rpartition(".")[2], other.rpartition(".")[2])
    return (SequenceMatcher(None, one, other).ratio() + SequenceMatcher(None, *ends).ratio()) / 2
