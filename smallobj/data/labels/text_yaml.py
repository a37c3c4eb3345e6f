"""YAML whose values stay the texts that stand in the file: "no" is a class, not False.

YAML 1.1 makes truth values of yes, no, on and off, and numbers, dates and null of other words.
"""

from __future__ import annotations

from typing import Any

import yaml

_TEXT_TAG = "tag:yaml.org,2002:str"


class Scalar(str):
    """A value as it stands in the file.

    Attributes:
        is_text: False for what YAML would make a number, a truth value, a date or null of.
    """

    is_text: bool = True


def load_texts(text: str) -> Any:
    """The content of a document: dicts, lists and :class:`Scalar`; None if it is empty.

    Tags are passed over, so that no object is made.

    Raises:
        yaml.YAMLError: it is not valid, or a key occurs twice in a mapping.

    >>> load_texts("names: {0: no, 1: yes}")
    {'names': {'0': 'no', '1': 'yes'}}
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return None if node is None else _content(node, {})


def _content(node: yaml.Node, done: dict[int, Any]) -> Any:
    # A node that an alias repeats is the same object: read once, or aliases of aliases never end.
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, yaml.ScalarNode):
        scalar = Scalar(node.value)
        scalar.is_text = node.tag == _TEXT_TAG
        return scalar
    if isinstance(node, yaml.SequenceNode):
        items: list[Any] = []
        done[id(node)] = items
        items += [_content(item, done) for item in node.value]
        return items
    mapping: dict[str, Any] = {}
    done[id(node)] = mapping
    for key_node, value_node in node.value:
        key = _content(key_node, done)
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(
                problem="a key must be a word", problem_mark=key_node.start_mark
            )
        if key in mapping:
            raise yaml.MarkedYAMLError(
                problem=f"the key {str(key)!r} occurs twice", problem_mark=key_node.start_mark
            )
        mapping[key] = _content(value_node, done)
    return mapping
