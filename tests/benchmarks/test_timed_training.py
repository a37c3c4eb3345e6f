"""benchmarks.timed_training: the same settings for all, and rows that survive failures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from detectron2.data import DatasetCatalog

from benchmarks import timed_training
from benchmarks.contest import Contest
from benchmarks.timed_training import run_contest
from smallobj.data.datasets import parse_spec, register_dataset


@pytest.fixture
def contest(tiny_dataset: Any, catalog: None) -> Contest:
    """On squares, for a minute."""
    specs = [tiny_dataset.spec(f"contest_{split}", split) for split in ("train", "val")]
    for spec in specs:
        register_dataset(parse_spec(spec))
    return Contest(("contest_train",), ("contest_val",), tuple(specs), seconds=60)


@pytest.fixture
def configs(repository: Path, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text(f"_BASE_: {repository / 'configs/quick/cascade_tiny.yaml'}\n")
    return paths


def value(command: list[str], key: str) -> str:
    """The last value given for a key, which counts."""
    places = [i for i, word in enumerate(command) if word == key]
    return command[places[-1] + 1]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands for train_net.py; instead of running, they write the files of a perfect run."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        commands.append(command)
        assert options["env"]["OMP_NUM_THREADS"] == "1"
        if "broken" in command:
            options["stdout"].write("Traceback\nFloatingPointError: the loss is infinite\n\n")
            return SimpleNamespace(returncode=1)
        output = Path(value(command, "OUTPUT_DIR"))
        if "--eval-only" in command:
            folder = output / "eval-model_final" / "inference" / "contest_val"
            folder.mkdir(parents=True, exist_ok=True)
            rows = [
                {"image_id": image["image_id"], "category_id": box["category_id"]}
                | {"bbox": box["bbox"], "score": 0.9}
                for image in DatasetCatalog.get("contest_val")
                for box in image["annotations"]
            ]
            (folder / "coco_instances_results.json").write_text(json.dumps(rows))
        else:
            hooks = {"TimeBudget": {"spent": 61.5}}
            state = {"model": {}, "iteration": 99, "trainer": {"hooks": hooks}}
            torch.save(state, output / "model_final.pth")
            (output / "model_resume_0.pth").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(timed_training.subprocess, "run", run)
    return commands


def test_all_run_with_the_same_settings(
    contest: Contest, configs: list[Path], launched: list[list[str]], tmp_path: Path
) -> None:
    rows = run_contest(contest, configs, tmp_path / "zoo", Path("train_net.py"))
    training, testing, other, _ = launched
    for command in (training, other):
        assert value(command, "SOLVER.MAX_SECONDS") == "60"
        assert value(command, "SOLVER.CLOCK") == "cpu"
        assert value(command, "SEED") == "1"
        assert value(command, "DATASETS.TRAIN") == "('contest_train',)"
        # Evaluations during training would take time and be of no use.
        assert value(command, "DATASETS.TEST") == "()"
        assert value(command, "DATALOADER.NUM_WORKERS") == "0"
        assert "--resume" in command
    assert value(testing, "MODEL.WEIGHTS") == value(training, "OUTPUT_DIR") + "/model_final.pth"
    assert value(training, "OUTPUT_DIR") != value(other, "OUTPUT_DIR")
    assert not list((tmp_path / "zoo").rglob("model_resume_*"))
    assert [row["config"] for row in rows] == ["a", "b"]
    row = rows[0]
    # Two images per batch.
    assert (row["iterations"], row["images"], row["spent"]) == (100, 200, 61.5)
    assert row["metrics"]["contest_val"]["AP50"] == pytest.approx(1)
    assert "AP50_10-20" in row["metrics"]["contest_val"]
    assert (row["seed"], row["seconds"], row["clock"]) == (1, 60, "cpu")


def test_finished_runs_are_not_repeated(
    contest: Contest, configs: list[Path], launched: list[list[str]], tmp_path: Path
) -> None:
    first = run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    count = len(launched)
    again = run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    assert len(launched) == count
    assert again == json.loads(json.dumps(first))
    # A lost row is restored from the trained model.
    next((tmp_path / "zoo" / "results").iterdir()).unlink()
    run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    assert "--eval-only" in launched[count]


def test_a_failed_run_is_reported_in_its_row_and_the_others_continue(
    contest: Contest,
    configs: list[Path],
    launched: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = timed_training.subprocess.run

    def break_a(command: list[str], **options: Any) -> Any:
        return ours([*command, *(["broken"] if str(configs[0]) in command else [])], **options)

    monkeypatch.setattr(timed_training.subprocess, "run", break_a)
    a, b = run_contest(contest, configs, tmp_path / "zoo", Path("train_net.py"))
    sentence = "train_net.py ended with status 1: FloatingPointError: the loss is infinite"
    assert a["failed"] == sentence
    assert "metrics" not in a
    assert "failed" not in b
    # The failed run is repeated.
    monkeypatch.setattr(timed_training.subprocess, "run", ours)
    a, _ = run_contest(contest, configs, tmp_path / "zoo", Path("train_net.py"))
    assert "metrics" in a


def test_a_run_that_hangs_is_killed(
    contest: Contest, configs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(timed_training.subprocess, "run", hang)
    (row,) = run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    assert row["failed"] == "training took longer than 1800 s"


def test_another_recipe_does_not_resume_an_old_run(
    contest: Contest, configs: list[Path], launched: list[list[str]], tmp_path: Path
) -> None:
    run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    configs[0].write_text(configs[0].read_text() + "SOLVER:\n  BASE_LR: 0.5\n")
    (row,) = run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    assert "another version of this config" in row["failed"]


def test_other_tests_need_no_other_training(
    contest: Contest, configs: list[Path], launched: list[list[str]], tmp_path: Path
) -> None:
    run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    configs[0].write_text(configs[0].read_text() + "TEST:\n  TILE:\n    OVERLAP: 40\n")
    (row,) = run_contest(contest, configs[:1], tmp_path / "zoo", Path("train_net.py"))
    assert "failed" not in row
    assert ["--eval-only" in command for command in launched] == [False, True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0}, "at least a second; got 0"),
        ({"gpus": 1}, "--clock wall"),
        ({"test": ()}, "one to test on"),
    ],
)
def test_settings_that_allow_no_comparison_are_refused(
    change: dict[str, Any], message: str
) -> None:
    terms: dict[str, Any] = {"train": ("t",), "test": ("v",), "register": (), "seconds": 60}
    with pytest.raises(ValueError, match=message):
        Contest(**{**terms, **change})


def test_other_options_are_another_contest() -> None:
    make: Callable[..., Contest] = lambda *opts: Contest(("t",), ("v",), (), 60, opts=opts)  # noqa: E731
    assert make().name == "t-60s-cpu-1t-seed1"
    assert make("SOLVER.BASE_LR", "0.1").name not in (
        make().name,
        make("SOLVER.BASE_LR", "0.2").name,
    )
