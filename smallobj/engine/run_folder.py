"""The files in OUTPUT_DIR: those of a training, its config.yaml, and folders of evaluations."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from detectron2.config import CfgNode
from detectron2.utils import comm

from smallobj.checkpoint import LAST_CHECKPOINT
from smallobj.engine.run_lock import refuse_locked_folder
from smallobj.whole_file import whole_text

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.json"
_CHECKPOINT = re.compile(r"model_(\d{7}|final|best|resume_\d+)\.pth")
# Bytes at the end of metrics.json in which the last whole line is looked for.
_TAIL = 65536
_LONGEST_VALUE = 60


class FoundRun(NamedTuple):
    """The files of a training in a folder.

    Attributes:
        files: their names, those that tell most first.
        iteration: the last one that they tell of; None if none does.
        changed: when the last of them was written, in seconds since 1970.
    """

    files: tuple[str, ...]
    iteration: int | None
    changed: float


def find_run(folder: str | os.PathLike[str]) -> FoundRun | None:
    """The training whose files lie directly in a folder; None if there are none.

    A metrics.json without content doesn't count, nor do logs: a training that failed before its
    first iteration leaves them.
    """
    place = Path(folder)
    if not place.is_dir():
        return None
    checkpoints = [path for path in place.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    found = sorted(checkpoints, key=lambda path: path.stat().st_mtime, reverse=True)
    others = (place / name for name in (LAST_CHECKPOINT, METRICS_FILE, CONFIG_FILE))
    found += [path for path in others if path.is_file()]
    if found and found[-1].name == METRICS_FILE and not found[-1].stat().st_size:
        found.pop()
    if not found:
        return None
    numbers = [int(n) for n in (_CHECKPOINT.sub(r"\1", path.name) for path in found) if n.isdigit()]
    numbers += _last_iteration(place / METRICS_FILE)
    names = tuple(path.name for path in found)
    changed = max(path.stat().st_mtime for path in found)
    return FoundRun(names, max(numbers, default=None), changed)


def _last_iteration(metrics: Path) -> list[int]:
    """The iteration in the last whole line of metrics.json, as a list of one or none."""
    if not metrics.is_file():
        return []
    with metrics.open("rb") as file:
        file.seek(max(metrics.stat().st_size - _TAIL, 0))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            return [int(json.loads(line)["iteration"])]
        except (ValueError, KeyError, TypeError):
            continue
    return []


def refuse_used_folder(folder: str, resume: bool = False) -> None:
    """Checks that a training can write into a folder without mixing with another one.

    Args:
        folder: OUTPUT_DIR.
        resume: the training continues the one whose files the folder holds.

    Raises:
        ValueError: a training is running in the folder; its files lie there and ``resume`` is
            false; or the name is empty.
    """
    if not folder:
        raise ValueError("OUTPUT_DIR is empty; it names the folder for checkpoints and curves")
    refuse_locked_folder(folder)
    run = None if resume else find_run(folder)
    if run is None:
        return
    shown = ", ".join(run.files[:3]) + (f" and {len(run.files) - 3} more" * (len(run.files) > 3))
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.changed))
    known = "no iteration" if run.iteration is None else f"iteration {run.iteration}"
    raise ValueError(
        f"OUTPUT_DIR {folder} holds a training already: {shown}; {known}, last written on {date}. "
        "Add --resume to continue it, or give the new one another folder: "
        f"OUTPUT_DIR {_free_name(folder)}"
    )


def _free_name(folder: str) -> str:
    stem = folder.rstrip("/\\")
    number = 2
    while os.path.exists(f"{stem}-{number}"):
        number += 1
    return f"{stem}-{number}"


def evaluation_folder(folder: str, weights: str) -> str:
    """The folder of an evaluation of some weights, inside a run's folder.

    >>> evaluation_folder("output", "output/model_best.pth")
    'output/eval-model_best'
    """
    return os.path.join(folder, f"eval-{Path(weights).stem}")


def write_config(cfg: CfgNode, folder: str) -> None:
    """Writes a config to config.yaml in a folder, in the main process only."""
    if not comm.is_main_process():
        return
    with whole_text(os.path.join(folder, CONFIG_FILE)) as file:
        file.write(cfg.dump())


def changed_keys(folder: str, cfg: CfgNode) -> list[str]:
    """What differs between the config.yaml in a folder and a config, OUTPUT_DIR left out.

    Returns:
        A text for each key, "SOLVER.MAX_ITER 100 -> 200", sorted; [] without a readable file.
    """
    path = Path(folder, CONFIG_FILE)
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return []
    if not isinstance(stored, dict):
        return []
    before, now = (dict(_leaves(each)) for each in (stored, yaml.safe_load(cfg.dump())))
    keys = sorted((before.keys() | now.keys()) - {"OUTPUT_DIR"})
    return [
        f"{key} {_shown(before, key)} -> {_shown(now, key)}"
        for key in keys
        if before.get(key) != now.get(key) or (key in before) != (key in now)
    ]


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(values: dict[str, Any], key: str) -> str:
    text = repr(values[key]) if key in values else "(no such key)"
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
