"""tools/zoo.py: costs, a training of seconds, and the tables of both."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import timed_training, zoo
from smallobj.costs.separate_process import RunFailed


@pytest.fixture
def tool(load_script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """cli() with the given words."""
    module = load_script("tools/zoo.py")

    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["zoo.py", *map(str, words)])
        return int(module.cli())

    return run


@pytest.fixture
def tiny(repository: Path) -> Path:
    return repository / "configs" / "quick" / "cascade_tiny.yaml"


@pytest.fixture
def evaluate_here(run_script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Training has a process of its own, evaluation has not: each imports for seconds."""
    start = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "--eval-only" not in command:
            return start(command, **options)
        return subprocess.CompletedProcess(command, run_script("train_net.py", *command[2:])[0])

    monkeypatch.setattr(timed_training.subprocess, "run", run)


@pytest.mark.usefixtures("evaluate_here")
def test_trained_for_seconds_tested_and_measured_with_its_weights(
    tool: Callable[..., int],
    tiny: Path,
    tiny_dataset: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    catalog: None,
) -> None:
    specs = [tiny_dataset.spec(f"zoo_{split}", split) for split in ("train", "val")]
    common = ("--output", tmp_path, "--configs", tiny)
    words = ("train", *common, "--minutes", 0.03, "--register", *specs)
    words += ("--train", "zoo_train", "--test", "zoo_val")
    assert tool(*words) == 0
    (row,) = [json.loads(path.read_text()) for path in (tmp_path / "results").iterdir()]
    assert row["iterations"] >= 1
    assert row["spent"] >= 2
    assert 0 <= row["metrics"]["zoo_val"]["AP50"] <= 1
    printed = capsys.readouterr().out
    assert "Trained 0.0333333 min cpu on zoo_train, tested on zoo_val" in printed
    (run,) = (tmp_path / "runs").iterdir()
    photograph = tiny_dataset.root / "val" / "0.jpg"
    words = ("costs", *common, "--rounds", 1, "--device", "cpu", "--photograph", photograph)
    assert tool(*words, "--trained", run) == 0
    printed = capsys.readouterr().out
    assert "but trained ones of cascade_tiny" in printed
    assert "AP50, zoo_val" in printed
    assert (tmp_path / "zoo.md").read_text() == printed.strip() + "\n"
    assert tool("table", "--output", tmp_path) == 0
    assert capsys.readouterr().out == printed
    assert json.loads((tmp_path / "zoo.json").read_text())["raw"]["results"] == [row]


def test_a_row_that_fails_is_the_exit_status(
    tool: Callable[..., int],
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(function: object, subject: object, *, seconds: float) -> None:
        raise RunFailed("out of memory")

    monkeypatch.setattr(zoo, "run_apart", fail)
    assert tool("costs", "--output", tmp_path, "--configs", tiny, "--device", "cpu") == 1
    assert "cascade_tiny: measure_memory failed, out of memory" in capsys.readouterr().out


def test_mistakes_are_told_in_a_sentence(
    tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool("table", "--output", tmp_path) == 2
    assert "has no rows yet" in capsys.readouterr().err
    assert tool("costs", "--output", tmp_path, "--configs", "nowhere.yaml") == 2
    assert "nowhere.yaml: there is no such config" in capsys.readouterr().err
    words = ("train", "--output", tmp_path, "--minutes", 1, "--train", "no_such_set")
    assert tool(*words, "--test", "no_such_set") == 2
    assert "no_such_set" in capsys.readouterr().err
