"""The result of an evaluation on the console: the headline, then AP by class and by size."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_CLASSES = 20
_SHOWN = MOST_CLASSES // 2
_LONGEST_NAME = 30
_OVERALL = ("AP", "AP50", "AP75", "APs", "APm", "APl")
logger = logging.getLogger(__name__)


def log_summaries(names: Sequence[str], results: Mapping[str, Any], headline: str | None) -> None:
    """Logs the summary of each dataset; other processes than the main one have no results.

    Args:
        names: the datasets.
        results: as Detectron2's ``DefaultTrainer.test``: {dataset: figures}, and of a single
            dataset its figures.
        headline: as in :func:`evaluation_summary`.
    """
    by_name = {names[0]: results} if len(names) == 1 else results
    for name, figures in by_name.items():
        if figures:
            logger.info(evaluation_summary(name, figures, headline))


def evaluation_summary(
    name: str, results: Mapping[str, Mapping[str, Any]], headline: str | None = None
) -> str:
    """A few lines about the figures of one dataset.

    Of more than 20 classes, the ten with the best and the ten with the worst AP50 are shown.
    Classes without labels are only counted.

    Args:
        name: the dataset.
        results: {task: {metric: percent}} as evaluators give them: "AP", "AP50", "AP-<class>" and
            "AP50-<class>" of "bbox" or "segm", "AP50-<bin>" and "recall-<bin>" of "sizes".
        headline: name of the figure that chooses the best checkpoint, "bbox/AP50".
    """
    task, _, metric = (headline or "").partition("/")
    value = results.get(task, {}).get(metric)
    lines = [f"{name}: " + (f"{headline} {_percent(value)}" if value is not None else "evaluated")]
    boxes = results.get(task if task in ("bbox", "segm") else "bbox", {})
    lines += _overall_table({key: boxes[key] for key in _OVERALL if key in boxes})
    lines += _class_table(boxes)
    lines += _size_table(results.get("sizes", {}))
    return "\n".join(lines)


def _overall_table(figures: Mapping[str, float]) -> list[str]:
    """As Detectron2 prints it, so that what reads its logs reads these."""
    if not figures:
        return []
    cells = [(f" {key:^6} ", f" {_percent(value):^6} ") for key, value in figures.items()]
    rows = [[head for head, _ in cells], [":------:"] * len(cells), [value for _, value in cells]]
    return ["|" + "|".join(row) + "|" for row in rows]


def _class_table(figures: Mapping[str, float]) -> list[str]:
    prefix = "AP50-"
    classes = [key.removeprefix(prefix) for key in figures if key.startswith(prefix)]
    known = [each for each in classes if not math.isnan(figures[prefix + each])]
    known.sort(key=lambda each: -figures[prefix + each])
    if not known:
        return []
    rows = [[each, figures.get(f"AP-{each}", math.nan), figures[prefix + each]] for each in known]
    table = _table(("class", "AP", "AP50"), rows)
    if len(rows) > MOST_CLASSES:
        hidden = f"  ... {len(rows) - MOST_CLASSES} classes between, see log.txt"
        table = [*table[: _SHOWN + 1], hidden, *table[-_SHOWN:]]
    without = len(classes) - len(known)
    return table + ([f"  {without} classes without labels"] if without else [])


def _size_table(figures: Mapping[str, float]) -> list[str]:
    prefix = "AP50-"
    bins = [key.removeprefix(prefix) for key in figures if key.startswith(prefix)]
    rows = [
        [each, figures[prefix + each], figures.get(f"recall-{each}", math.nan)] for each in bins
    ]
    return _table(("size in px", "AP50", "recall"), rows) if rows else []


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    names = [head[0], *(str(row[0])[:_LONGEST_NAME] for row in rows)]
    width = max(map(len, names))
    figures = [head[1:], *([_percent(value) for value in row[1:]] for row in rows)]
    return [
        f"  {name:{width}}" + "".join(f"  {value:>6}" for value in values)
        for name, values in zip(names, figures, strict=True)
    ]


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"
