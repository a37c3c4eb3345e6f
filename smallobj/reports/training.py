"""Training curves from Detectron2's metrics.json, which has one JSON object per line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

METRICS_FILE = "metrics.json"
# Keys that are no training curves.
_LEFT_OUT = ("iteration", "eta_seconds", "rank_data_time", "data_time", "time")
_MOST_POINTS = 400


def read_training(folder: Path) -> list[dict[str, Any]]:
    """[{"name", "x": iterations, "y": values}], losses first, then validation metrics.

    If a resumed run repeats an iteration, the later line counts. Long curves are reduced to every
    n-th point. An incomplete last line, of a run that was stopped, is ignored.

    Raises:
        ValueError: the file does not exist, or a line is not a JSON object with an iteration.
    """
    path = folder / METRICS_FILE if folder.is_dir() else folder
    if not path.is_file():
        raise ValueError(f"{path}: the file must exist (got no such file)")
    series: dict[str, dict[int, float]] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}: line {number}: it must be JSON (got {error})") from None
        if not isinstance(row, dict) or not isinstance(row.get("iteration"), int):
            rule = 'it must be an object with an "iteration"'
            raise ValueError(f"{path}: line {number}: {rule} (got {line[:80]!r})")
        for name, value in row.items():
            if name not in _LEFT_OUT and isinstance(value, int | float):
                series.setdefault(name, {})[row["iteration"]] = float(value)
    return [_curve(name, series[name]) for name in sorted(series, key=_rank)]


def _rank(name: str) -> tuple[int, str]:
    if name == "total_loss":
        return 0, name
    if "loss" in name:
        return (1 if not name.startswith("validation") else 2), name
    return (3 if "/" in name or name.startswith(("AP", "mAP")) else 4), name


def _curve(name: str, points: dict[int, float]) -> dict[str, Any]:
    iterations = sorted(points)
    step = math.ceil(len(iterations) / _MOST_POINTS)
    kept = iterations[:: max(step, 1)]
    values = [points[index] for index in kept]
    return {
        "name": name,
        "x": kept,
        "y": [float(f"{value:.6g}") if math.isfinite(value) else None for value in values],
    }
