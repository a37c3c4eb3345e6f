"""benchmarks.stages: a clock that subtracts inner stages, and the stages of a detection."""

from __future__ import annotations

from contextlib import suppress

import pytest

from benchmarks import stages
from benchmarks.arithmetic import StageFlops, Work
from benchmarks.rivals import Settings, SmallObjectRival, build_rival
from benchmarks.stages import (
    StageClock,
    StageTimes,
    benchmark_arithmetic,
    stages_table,
    time_stages,
)


class Clockwork:
    """A clock that a test sets."""

    now = 0.0

    def seconds_now(self) -> float:
        return self.now


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    clockwork = Clockwork()
    monkeypatch.setattr(stages, "seconds_now", clockwork.seconds_now)
    return clockwork


def test_an_inner_stage_is_subtracted_from_the_outer(clockwork: Clockwork) -> None:
    clock = StageClock()
    with clock.stage("outer"):
        clockwork.now += 1
        for _ in range(2):
            with clock.stage("inner"):
                clockwork.now += 10
                with clock.stage("innermost"):
                    clockwork.now += 100
        clockwork.now += 2
    assert clock.seconds == {"outer": 3, "inner": 20, "innermost": 200}


def test_a_stage_that_fails_is_counted_too(clockwork: Clockwork) -> None:
    clock = StageClock()
    with suppress(ZeroDivisionError), clock.stage("bad"):
        clockwork.now += 5
        raise ZeroDivisionError
    with clock.stage("good"):
        clockwork.now += 1
    assert clock.seconds == {"bad": 5, "good": 1}


class Worker:
    def work(self, x: int) -> int:
        return x + 1


def test_a_watched_method_is_restored() -> None:
    clock, worker = StageClock(), Worker()
    with clock.watch(worker, "work", "w"):
        assert worker.work(1) == 2
    assert "w" in clock.seconds
    assert vars(worker) == {}
    worker.work = own = lambda x: x  # type: ignore[method-assign]
    with clock.watch(worker, "work", "w"), clock.watch(worker, "absent", "a"):
        assert worker.work(5) == 5
    assert worker.work is own
    assert "a" not in clock.seconds


def test_a_detection_has_all_its_stages(tiny_settings: Settings, photograph: str) -> None:
    rival = build_rival("ours", tiny_settings)
    assert isinstance(rival, SmallObjectRival)
    before = next(rival.detect_files([photograph]))
    times = time_stages(rival, [photograph, photograph])
    wanted = {"decode", "backbone, convolutions", "proposals", "heads", "seams and merging"}
    assert wanted <= set(times.seconds)
    assert min(times.seconds.values()) >= 0
    # 160 x 192 in tiles of 128 with an overlap of 32: two by two, twice
    assert len(times.work.shapes) == 8
    assert times.images == 2
    after = next(rival.detect_files([photograph]))
    assert (before.scores == after.scores).all()


def test_the_table_has_time_and_limit() -> None:
    seconds = {"decode": 0.5, "backbone, convolutions": 1.0, "heads": 0.5}
    times = StageTimes(seconds, Work([(10, 10)], [2]), images=1)
    flops = StageFlops(backbone=1e9, proposals=0.0, heads=5e9)
    table = stages_table("t", times, flops, {"bfloat16": 500.0, "float32": 100.0}, "bfloat16")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["backbone, convolutions"] == [1.0, "50%", 100.0, 100.0, 0.2]
    assert rows["heads"] == [0.5, "25%", 10.0, 20.0, 0.02]
    assert rows["decode"] == [0.5, "25%", None, None, None]
    assert rows["all"] == [2.0, "100%", 110.0, 55.0, pytest.approx(0.22)]
    assert any("9.09 times" in note for note in table.notes)


def test_an_image_without_tiles_has_a_table() -> None:
    times = StageTimes({"decode": 0.5, "focus": 0.5}, Work([], []), images=1)
    rates = {"bfloat16": 500.0, "float32": 100.0}
    table = stages_table("t", times, StageFlops(1.0, 1.0, 1.0), rates, "float32", focus_flops=1e9)
    assert ["focus", 0.5, "50%", 1.0, 2.0, 0.01] in table.rows
    bare = stages_table("t", times, StageFlops(1.0, 1.0, 1.0), rates, "float32")
    assert bare.rows[-1] == ["all", 1.0, "100%", 0.0, 0.0, 0.0]


def test_only_this_projects_rows_have_stages(tiny_settings: Settings, photograph: str) -> None:
    with pytest.raises(ValueError, match="whole"):
        benchmark_arithmetic(["whole"], tiny_settings, [photograph], runs=1)
