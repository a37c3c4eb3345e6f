"""Class names by class id, from what a class file or a data.yaml holds."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.rules import CLASS_COUNT, CLASS_NAME_TEXT, CLASS_NAMES_GIVEN, FIX
from smallobj.data.labels.text_yaml import Scalar

NAMES_RULE = (
    "class names must be distinct texts: a list, or a mapping from class id to name, or names as "
    "the key of one of these"
)
_ID_LAST = re.compile(r"(.*\S)\s*,\s*(\d+)")
_ID_LINE = re.compile(r"\s*(\d+)\s*:\s*(.*\S)\s*")


@dataclasses.dataclass(frozen=True)
class ListedClasses:
    """What a class file says.

    Attributes:
        names: class name by class id, in the order of the ids, which may have gaps; empty after a
            problem has been reported.
        keypoints: ``kpt_shape`` of Ultralytics' pose data: number of keypoints, and of values each.
    """

    names: Mapping[int, str] = dataclasses.field(default_factory=dict)
    keypoints: tuple[int, int] | None = None

    @property
    def class_ids(self) -> dict[int, int]:
        """Contiguous class id by class id.

        >>> ListedClasses({0: "bolt", 2: "nut"}).class_ids
        {0: 0, 2: 1}
        """
        return {identity: index for index, identity in enumerate(self.names)}


def classes_of_lines(text: str, is_table: bool = False) -> Any:
    """Class names of a text with a name a line, or by id where each line is ``id:name``.

    Args:
        text: of the file.
        is_table: lines may be ``name,id``, keras-retinanet's table of classes.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    pairs = [match.groups() for line in lines for match in [_ID_LINE.fullmatch(line)] if match]
    if is_table and len(pairs) < len(lines):
        found = [_ID_LAST.fullmatch(line) for line in lines]
        pairs = [(match[2], match[1]) for match in found if match]
    if pairs and len(pairs) == len(lines):
        # As pairs: a mapping would hide an id that occurs twice.
        return [{"id": int(number), "name": name} for number, name in pairs]
    return lines


def listed_classes(path: str, content: Any, log: ProblemLog) -> ListedClasses:
    """The classes in a class file's content; without names after reporting what is wrong.

    Args:
        path: the file, for reports.
        content: a list of names, a mapping between ids and names, a list of objects with ``id`` and
            ``name``, or a mapping with one of these as ``names`` or ``categories``.
        log: receives the problems.
    """
    before = len(log.problems)
    keypoints = None
    names = content
    if isinstance(content, dict):
        keypoints = _keypoints(path, content.get("kpt_shape"), log)
        names = content.get("names", content.get("categories"))
        if names is None and "nc" in content:
            names = _numbered(path, content["nc"], log)
        elif names is None:
            names = content
    entries = _entries(names)
    if not entries:
        if len(log.problems) == before:
            log.report(path, "class names", NAMES_RULE, shown(names))
        return ListedClasses({}, keypoints)
    table = _checked(path, entries, log)
    if isinstance(content, dict) and table:
        _check_number(path, content.get("nc"), table, log)
    return ListedClasses({} if len(log.problems) > before else table, keypoints)


def _entries(names: Any) -> list[tuple[Any, Any]]:
    """Pairs of an id and a name; empty where the value has none of the known shapes."""
    if isinstance(names, list):
        if names and all(isinstance(name, dict) and {"id", "name"} <= set(name) for name in names):
            return [(entry["id"], entry["name"]) for entry in names]
        return list(enumerate(names))
    if not isinstance(names, dict):
        return []
    if all(_whole(key) is None for key in names) and all(
        _whole(value) is not None for value in names.values()
    ):
        return [(identity, name) for name, identity in names.items()]
    return list(names.items())


def _checked(path: str, entries: list[tuple[Any, Any]], log: ProblemLog) -> dict[int, str]:
    """Names by id; reports ids and names that are none, and those that occur twice."""
    found: list[tuple[int, str]] = []
    for number, name in entries:
        identity, text = _whole(number), _text(name)
        if identity is None or not text:
            value = {str(number): name} if identity is None else name
            log.report(path, "class names", NAMES_RULE, shown(value))
            return {}
        if not isinstance(name, str) or (isinstance(name, Scalar) and not name.is_text):
            action = log.report(path, f"class {identity}", CLASS_NAME_TEXT, text)
            if action != FIX:
                continue
        found.append((identity, text))
    for kind, values in (("class id", [i for i, _ in found]), ("class", [n for _, n in found])):
        for value, count in Counter(values).items():
            if count > 1:
                log.report(path, f"{kind} {shown(value)}", NAMES_RULE, f"it {count} times")
    return dict(sorted(found))


def _whole(value: Any) -> int | None:
    """A class id: a whole number from 0, or its text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
    return int(value) if is_number else None


def _text(name: Any) -> str:
    """The name as it stands in the file; "" if it isn't one."""
    if isinstance(name, str):
        return str(name) if name.strip() else ""
    # In JSON numbers, true and false are written as they were read.
    return json.dumps(name) if isinstance(name, int | float) else ""


def _numbered(path: str, number: Any, log: ProblemLog) -> list[str] | None:
    """Names of the classes of a yaml that says only how many there are."""
    count = _whole(number)
    if not count:
        return None
    action = log.report(path, "class names", CLASS_NAMES_GIVEN, f"nc {count} and no names")
    return [str(index) for index in range(count)] if action == FIX else None


def _check_number(path: str, number: Any, table: dict[int, str], log: ProblemLog) -> None:
    # With gaps in the ids, nc may count the ids or the names.
    if number is not None and _whole(number) not in (len(table), max(table) + 1):
        value = f"nc {shown(number)} and {len(table)} names"
        log.report(path, "nc", CLASS_COUNT, value)


def _keypoints(path: str, shape: Any, log: ProblemLog) -> tuple[int, int] | None:
    if shape is None:
        return None
    numbers = [_whole(value) for value in shape] if isinstance(shape, list) else []
    if len(numbers) != 2 or not numbers[0] or numbers[1] not in (2, 3):
        rule = "kpt_shape must be the number of keypoints and 2 or 3, the values of each"
        log.report(path, "kpt_shape", rule, shown(shape))
        return None
    return numbers[0], numbers[1]
