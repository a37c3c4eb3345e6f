"""benchmarks.zoo_tables: the cells of the tables, by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.zoo_tables import comparison_tables, cost_table, read_rows


def cost(name: str, **more: Any) -> dict[str, Any]:
    row = {
        "name": name,
        "config": f"configs/{name}.yaml",
        "architecture": "GeneralizedRCNN",
        "weights": "",
        "parameters": 14_000_000,
        "flops_crop": 26.5e9,
        "flops_photograph": 672e9,
        "inputs": [[9, 1024, 800]],
        "peak_bytes": 234 << 20,
        "seconds": [[0.3, 7.0], [0.9, 9.0], [0.4, 8.0]],
        "failures": {},
    }
    return {**row, **more}


def result(config: str, ap50: float | None, seed: int = 1, **more: Any) -> dict[str, Any]:
    row = {
        "config": config,
        "train": ["bolts"],
        "test": ["nuts"],
        "seconds": 600,
        "clock": "cpu",
        "seed": seed,
        "threads": 1,
        "iterations": 100,
        "images": 800,
        "spent": 600.4,
        "metrics": {"nuts": {"AP": 0.1, "AP50": ap50, "AP50_10-20": 0.05}},
    }
    if ap50 is None:
        row["failed"], _ = "the loss was infinite", row.pop("metrics")
    return {**row, **more}


def test_a_row_of_costs() -> None:
    table = cost_table([cost("cascade")], [])
    expected = ["cascade", "GeneralizedRCNN", 14.0, 26.5, 672.0, "9 of 1024x800", 234.0, 400.0, 8.0]
    assert table.rows == [expected]
    assert len(table.headers) == len(expected)
    assert table.notes[0] == "weights: random"


def test_results_are_in_the_row_of_their_detector_as_means_over_seeds() -> None:
    results = [result("cascade", 0.2), result("cascade", 0.4, seed=2), result("ssd", None)]
    table = cost_table([cost("cascade"), cost("ssd")], results)
    assert table.headers[-1] == "AP50, nuts, 10 min cpu on bolts"
    assert [row[-1] for row in table.rows] == ["30.0 (2 runs)", None]


def test_a_failure_has_a_note_and_empty_cells() -> None:
    broken = cost("ssd", failures={"time_once": "took longer than 9 s"}, seconds=[])
    table = cost_table([broken], [])
    assert table.rows[0][-2:] == [None, None]
    assert table.notes[0] == "ssd: time_once failed, took longer than 9 s"
    assert "| ssd" in table.markdown()
    assert "- ssd: time_once failed" in table.markdown()


def test_a_row_without_measurements_is_shown() -> None:
    bare = {"name": "x", "config": "x", "architecture": "", "weights": "", "seconds": []}
    table = cost_table([{**bare, "failures": {"config": "bad"}}], [])
    assert table.rows == [["x", *[None] * 8]]


def test_the_comparison_starts_with_the_best() -> None:
    results = [result("ssd", 0.1), result("cascade", 0.25), result("yolo", None)]
    (table,) = comparison_tables(results)
    assert table.title == "Trained 10 min cpu on bolts, tested on nuts"
    assert table.headers[-3:] == ["AP", "AP50", "AP50 10-20"]
    assert table.rows[0] == ["cascade", 1, 100, 800, "600", "10.0", "25.0", "5.0"]
    assert [row[0] for row in table.rows] == ["cascade", "ssd"]
    assert table.notes[0] == "yolo, seed 1: the loss was infinite"


def test_different_times_and_test_sets_have_different_tables() -> None:
    longer = result("cascade", 0.3, seconds=1200)
    both = result("cascade", 0.3)
    both |= {"test": ["nuts", "coins"], "metrics": {**both["metrics"], "coins": {"AP50": 0.5}}}
    titles = [table.title for table in comparison_tables([longer, both, result("ssd", 0.1)])]
    assert titles == [
        "Trained 10 min cpu on bolts, tested on nuts",
        "Trained 10 min cpu on bolts, tested on coins",
        "Trained 20 min cpu on bolts, tested on nuts",
    ]


def test_rows_are_read_by_name_and_other_files_refused(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "nowhere") == []
    (tmp_path / "b.json").write_text('{"config": "b"}')
    (tmp_path / "a.json").write_text('{"config": "a"}')
    assert [row["config"] for row in read_rows(tmp_path)] == ["a", "b"]
    (tmp_path / "c.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"c\.json: not a row"):
        read_rows(tmp_path)
