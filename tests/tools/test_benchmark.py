"""tools/benchmark.py: arguments in, tables out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def benchmark(
    load_script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """cli() with the given words."""
    module = load_script("tools/benchmark.py")

    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["benchmark.py", *map(str, words)])
        return module.cli()

    return run


def test_a_written_report_can_be_shown_again(
    benchmark: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "merging.json"
    assert benchmark("merging", "--boxes", 30, 40, "--runs", 1, "--json", path) == 0
    printed = capsys.readouterr().out
    assert "30 boxes" in printed
    assert "smallobj nms, IoU" in printed
    assert json.loads(path.read_text())["settings"] == {"counts": [30, 40], "runs": 1}
    assert benchmark("show", path) == 0
    assert capsys.readouterr().out == printed


def test_evaluation(
    benchmark: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evaluation.json"
    words = ("--boxes", 40, "--per-image", 5, "--runs", 1)
    assert benchmark("evaluation", *words, "--json", path) == 0
    printed = capsys.readouterr().out
    assert "40 boxes in 8 images" in printed
    assert "Largest difference" in printed
    assert benchmark("show", path) == 0
    assert capsys.readouterr().out == printed
    assert benchmark("evaluation", "--boxes", 0) == 2
    assert "at least 1" in capsys.readouterr().err


def test_a_wrong_file_is_named_in_a_sentence(
    benchmark: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert benchmark("show", tmp_path / "x.json") == 2
    assert benchmark("show", tmp_path / "absent.json") == 2
    words = capsys.readouterr().err
    assert "not a report" in words
    assert "absent.json" in words
    assert "Traceback" not in words
