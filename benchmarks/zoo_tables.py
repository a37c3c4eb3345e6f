"""The tables of tools/zoo.py, from the rows that its other commands have written."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Cell, Table
from benchmarks.zoo import SIDE, Row

_MEBI = 1 << 20


def read_rows(folder: Path) -> list[Row]:
    """The rows in a folder, sorted by file name; none if there is no folder.

    Raises:
        ValueError: a file is not a row.
    """
    rows = []
    for path in sorted(folder.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            row["config"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a row of tools/zoo.py ({error!r})") from error
        rows.append(row)
    return rows


def cost_table(costs: Sequence[Row], results: Sequence[Row]) -> Table:
    """A table with a row for each detector, with AP50 if the results include its training.

    Args:
        costs: rows of ``zoo.measure_costs``.
        results: rows of ``timed_training.run_contest``.
    """
    headers = ["config", "detector", "10⁶ parameters", f"GFLOP, {SIDE} px"]
    headers += ["GFLOP, photograph", "passes", "peak MiB", f"ms, {SIDE} px", "s, photograph"]
    scored = [row for row in results if "metrics" in row]
    columns = sorted({(_kind(row), test) for row in scored for test in row["metrics"]})
    headers += [f"AP50, {test}, {kind}" for kind, test in columns]
    rows: list[list[Cell]] = []
    for row in costs:
        cells = _cost_cells(row)
        for column in columns:
            cells.append(_mean_ap50(scored, row["name"], *column))
        rows.append(cells)
    notes = [
        f"{row['name']}: {what} failed, {sentence}"
        for row in costs
        for what, sentence in row["failures"].items()
    ]
    trained = [row["name"] for row in costs if row["weights"]]
    # Stated since random scores pass the threshold of an RPN, but not that of a dense detector.
    notes.append(
        "weights: random" + (f", but trained ones of {', '.join(trained)}" if trained else "")
    )
    notes.append(
        "GFLOP: a multiply-add counts as two; ROI heads with the largest number of proposals. "
        "Peak: above the loaded model. Times: medians of rounds in turns, without decoding"
    )
    return Table("Costs of detectors", headers, rows, notes)


def _cost_cells(row: Row) -> list[Cell]:
    counted, peak = "parameters" in row, row.get("peak_bytes")
    times = list(zip(*row["seconds"], strict=True))
    passes = [f"{n} of {width}x{height}" for n, width, height in row.get("inputs", [])]
    return [
        row["name"],
        row["architecture"] or None,
        row["parameters"] / 1e6 if counted else None,
        row["flops_crop"] / 1e9 if counted else None,
        row["flops_photograph"] / 1e9 if counted else None,
        ", ".join(passes) or None,
        None if peak is None else peak / _MEBI,
        statistics.median(times[0]) * 1e3 if times else None,
        statistics.median(times[1]) if times else None,
    ]


def _kind(row: Row) -> str:
    return f"{row['seconds'] / 60:g} min {row['clock']} on {'+'.join(row['train'])}"


def _mean_ap50(scored: Sequence[Row], name: str, kind: str, test: str) -> str | None:
    own = [row for row in scored if row["config"] == name and _kind(row) == kind]
    values = [100 * row["metrics"][test]["AP50"] for row in own if test in row["metrics"]]
    if not values:
        return None
    several = f" ({len(values)} runs)" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{several}"


def comparison_tables(results: Sequence[Row]) -> list[Table]:
    """A table for each training set, time, clock and test set, with the best AP50 first."""
    tables = []
    for kind in sorted({_kind(row) for row in results}):
        own = [row for row in results if _kind(row) == kind]
        for test in dict.fromkeys(test for row in own for test in row["test"]):
            tables.append(_comparison(kind, test, [row for row in own if test in row["test"]]))
    return tables


def _comparison(kind: str, test: str, results: Sequence[Row]) -> Table:
    scored = [row for row in results if test in row.get("metrics", {})]
    scored.sort(key=lambda row: -row["metrics"][test].get("AP50", 0.0))
    figures = list(dict.fromkeys(key for row in scored for key in row["metrics"][test]))
    rows: list[list[Cell]] = []
    for row in scored:
        scores = row["metrics"][test]
        cells: list[Cell] = [row["config"], row["seed"], row["iterations"], row["images"]]
        cells.append(f"{row['spent']:.0f}")
        cells += [f"{100 * scores[key]:.1f}" if key in scores else None for key in figures]
        rows.append(cells)
    headers = ["config", "seed", "iterations", "inputs seen", "s spent"]
    headers += [key.replace("_", " ") for key in figures]
    notes = [
        f"{row['config']}, seed {row['seed']}: {_why(row)}"
        for row in results
        if test not in row.get("metrics", {})
    ]
    threads = sorted({row["threads"] for row in results})
    notes.append(f"threads of each training: {', '.join(map(str, threads))}")
    return Table(f"Trained {kind}, tested on {test}", headers, rows, notes)


def _why(row: Row) -> str:
    return str(row.get("failed") or "not tested there")
