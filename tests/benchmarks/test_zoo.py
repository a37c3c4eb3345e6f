"""benchmarks.zoo: measurements against counts by hand, and rows that survive failures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from benchmarks import zoo
from benchmarks.zoo import (
    Subject,
    count_work,
    find_detectors,
    measure_costs,
    measure_memory,
    time_once,
)
from smallobj import load_config
from smallobj.costs.flops import analyse_flops
from smallobj.costs.separate_process import RunFailed
from smallobj.modeling import build_model


@pytest.fixture
def subject(repository: Path, photograph: str) -> Subject:
    """cascade_tiny on noise of 192 x 160 px, that is, four tiles of 128 x 96 px."""
    return Subject("tiny", str(repository / "configs/quick/cascade_tiny.yaml"), photograph)


@pytest.fixture
def small_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "SIDE", 128)


def test_detectors_are_found_in_the_folder(repository: Path) -> None:
    names = [path.name for path in find_detectors(repository / "configs")]
    assert {"cascade.yaml", "faster_rcnn_whole.yaml"} <= set(names)
    assert not [name for name in names if name.startswith(("Base-", "focus"))]
    assert names == sorted(names)


def test_work_is_that_of_the_tiles(subject: Subject, small_crop: None) -> None:
    row = count_work(subject)
    assert row["inputs"] == [[4, 128, 96]]
    cfg = load_config(subject.config, ["MODEL.ROI_HEADS.NUM_CLASSES", str(zoo.CLASSES)])
    # Random scores are near one half, so no proposal is below the threshold here either.
    model = build_model(cfg).eval()
    tile = analyse_flops(model, 96, 128)
    # The number of proposals after NMS depends on the image.
    assert row["flops_crop"] == pytest.approx(tile.at(128, 128), rel=0.03)
    assert row["flops_photograph"] == pytest.approx(4 * tile.total, rel=0.03)
    assert row["parameters"] == sum(p.numel() for p in model.parameters())


def test_norms_that_are_folded_at_test_time_are_counted(
    repository: Path, photograph: str, small_crop: None
) -> None:
    config = str(repository / "configs/quick/yolov3_tiny.yaml")
    row = count_work(Subject("yolo", config, photograph))
    cfg = load_config(config, ["MODEL.ROI_HEADS.NUM_CLASSES", str(zoo.CLASSES)])
    assert row["parameters"] == sum(p.numel() for p in build_model(cfg).parameters())


def test_a_config_without_tiles_takes_the_whole_image_as_resized(
    subject: Subject, tmp_path: Path, small_crop: None
) -> None:
    config = tmp_path / "whole.yaml"
    keys = "INPUT: {MIN_SIZE_TEST: 80}\nTEST: {TILE: {ENABLED: False}}\n"
    config.write_text(f"_BASE_: {subject.config}\n{keys}")
    row = count_work(Subject("whole", str(config), subject.photograph))
    assert row["inputs"] == [[1, 96, 80]]


def test_memory_and_time_of_a_detection(subject: Subject, small_crop: None) -> None:
    if sys.platform == "linux":
        row = measure_memory(subject)
        assert row["loaded_bytes"] > 1 << 26
        assert row["peak_bytes"] >= 0
    crop, whole = time_once(subject)
    assert 0 < crop < whole  # one tile against four


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Results of measurements, by "name function"; an error is raised. Calls are recorded."""
    given: dict[str, Any] = {"calls": []}

    def run(function: Callable[..., Any], subject: Subject, *, seconds: float) -> Any:
        key = f"{subject.name} {function.__name__}"
        given["calls"].append(key)
        usual = {
            "count_work": {"parameters": 1, "flops_crop": 2.0, "flops_photograph": 3.0},
            "measure_memory": {"loaded_bytes": 4, "peak_bytes": 5},
            "time_once": (0.1, 0.2),
        }
        answer = given.get(key, usual[function.__name__])
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(zoo, "run_apart", run)
    return given


def pair(subject: Subject) -> list[Subject]:
    return [Subject(name, subject.config, subject.photograph) for name in "ab"]


def test_times_are_taken_in_turns(subject: Subject, answers: Any, tmp_path: Path) -> None:
    rows = measure_costs(pair(subject), tmp_path, rounds=2, limit=9)
    assert answers["calls"][4:] == ["a time_once", "b time_once"] * 2
    assert [row["seconds"] for row in rows] == [[[0.1, 0.2]] * 2] * 2
    assert json.loads((tmp_path / "b.json").read_text()) == rows[1]


def test_a_failure_does_not_affect_the_others_and_is_repeated(
    subject: Subject, answers: Any, tmp_path: Path
) -> None:
    answers["a count_work"] = RunFailed("the process ended with status -9")
    answers["b time_once"] = RunFailed("took longer than 9 s")
    a, b = measure_costs(pair(subject), tmp_path, rounds=2, limit=9)
    assert a["failures"] == {"count_work": "the process ended with status -9"}
    assert (a["peak_bytes"], len(a["seconds"])) == (5, 2)
    assert b["failures"] == {"time_once": "took longer than 9 s"}
    assert answers["calls"].count("b time_once") == 1
    del answers["a count_work"], answers["b time_once"]
    answers["calls"].clear()
    a, b = measure_costs(pair(subject), tmp_path, rounds=2, limit=9)
    assert not a["failures"]
    assert not b["failures"]
    assert answers["calls"] == ["a count_work", "b time_once", "b time_once"]


def test_a_row_of_another_config_is_measured_again(
    subject: Subject, answers: Any, tmp_path: Path
) -> None:
    config = tmp_path / "one.yaml"
    config.write_text(f"_BASE_: {subject.config}\n")
    subjects = [Subject("one", str(config), subject.photograph)]
    measure_costs(subjects, tmp_path / "rows", rounds=1, limit=9)
    measure_costs(subjects, tmp_path / "rows", rounds=1, limit=9)
    assert len(answers["calls"]) == 3
    config.write_text(f"_BASE_: {subject.config}\nTEST:\n  TILE:\n    OVERLAP: 40\n")
    measure_costs(subjects, tmp_path / "rows", rounds=1, limit=9)
    assert len(answers["calls"]) == 6


def test_a_config_that_cannot_be_read_is_a_failed_row(
    subject: Subject, answers: Any, tmp_path: Path
) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("NO_SUCH_KEY: 1\n")
    subjects = [Subject("bad", str(config), subject.photograph), *pair(subject)]
    bad, a, _ = measure_costs(subjects, tmp_path / "rows", rounds=1, limit=9)
    assert "NO_SUCH_KEY" in bad["failures"]["config"]
    assert a["parameters"] == 1


def test_two_rows_of_one_name_are_refused(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"different names.*tiny"):
        measure_costs([subject, subject], tmp_path, rounds=1, limit=9)


def test_weights_are_those_that_are_given(
    subject: Subject, tiny_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[nn.Module, str]] = []
    monkeypatch.setattr(zoo, "load_weights", lambda model, path: seen.append((model, path)))
    loaded = zoo._Loaded(
        Subject("x", tiny_settings.config_file, subject.photograph, tiny_settings.weights)
    )
    assert seen == [(loaded.model, tiny_settings.weights)]
