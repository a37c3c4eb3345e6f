"""What a JSON file of results holds: one of three kinds, or a wrapper around the first.

COCO results are a list. Many tools write them inside an object, under ``annotations``,
``predictions``, ``results`` or ``detections``, some with COCO's ``images`` and ``categories``
beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.image_paths import is_image_name

COCO, OWN, CHALLENGE = "coco", "own", "challenge"

FILE_RULE = (
    "a results file must be a JSON list of COCO results, an object with the list images as "
    "tools/detect.py writes it, or an object of lists by image name as the challenge has it"
)
LABELS_RULE = "a results file must hold detections, not labels"
WRAPPERS = ("annotations", "predictions", "results", "detections")
_MOST_KEYS = 8


@dataclass(frozen=True)
class ResultsContent:
    """Content of a results file.

    Attributes:
        kind: COCO, OWN or CHALLENGE.
        content: the list of COCO results, or the object of the other kinds.
        place: how a message names the list of COCO results; "" where it is the whole file.
        files: image file by image id, where COCO results come with their images.
        categories: class name by category id, where they come with their categories.
    """

    kind: str
    content: Any
    place: str = ""
    files: Mapping[Any, str] = field(default_factory=dict)
    categories: Mapping[Any, str] = field(default_factory=dict)


def look_into(content: Any, path: str, log: ProblemLog) -> ResultsContent | None:
    """The kind of a JSON file's content, None after reporting that it is no kind of results.

    Args:
        content: of the file.
        path: the file.
        log: takes what is wrong with it.
    """
    if isinstance(content, list):
        return ResultsContent(COCO, content)
    if not isinstance(content, dict):
        log.report(path, "whole file", FILE_RULE, shown(content))
        return None
    names = [name for name in WRAPPERS if _is_list_of_objects(content.get(name))]
    if len(names) == 1:
        return _unwrapped(content, names[0], path, log)
    if "images" not in content and _is_challenge(content):
        return ResultsContent(CHALLENGE, content)
    if isinstance(content.get("images"), list) and not names:
        return ResultsContent(OWN, content)
    log.report(path, "whole file", FILE_RULE, _described(content))
    return None


def _unwrapped(
    content: dict[str, Any], name: str, path: str, log: ProblemLog
) -> ResultsContent | None:
    rows = content[name]
    if not any("score" in row for row in rows) and (rows or "images" in content):
        value = f"{len(rows)} {name} without a score"
        log.report(path, "whole file", LABELS_RULE, value)
        return None
    files, categories = _by_id(content, "images", "file_name"), _by_id(content, "categories")
    return ResultsContent(COCO, rows, name, files, categories)


def _by_id(content: dict[str, Any], name: str, text: str = "name") -> dict[Any, str]:
    """The texts of a list of objects by their ids; {} unless all have both."""
    entries = content.get(name, [])
    if not _is_list_of_objects(entries):
        return {}
    texts: dict[Any, str] = {}
    for entry in entries:
        key, value = entry.get("id"), entry.get(text)
        if type(key) not in (int, str) or not isinstance(value, str):
            return {}
        texts[key] = value
    return texts


def _is_list_of_objects(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _is_challenge(content: dict[str, Any]) -> bool:
    if any(map(is_image_name, content)):
        return True
    lists = [value for value in content.values() if isinstance(value, list)]
    rows = [row for value in lists for row in value]
    is_wrapper = bool(content) and set(content) <= set(WRAPPERS)
    return len(lists) == len(content) and not is_wrapper and all(isinstance(r, list) for r in rows)


def _described(content: dict[str, Any]) -> str:
    names = [shown(key) for key in list(content)[:_MOST_KEYS]]
    more = f" and {len(content) - _MOST_KEYS} more" if len(content) > _MOST_KEYS else ""
    what = "key" if len(content) == 1 else "keys"
    return f"an object with the {what} {', '.join(names)}{more}"
