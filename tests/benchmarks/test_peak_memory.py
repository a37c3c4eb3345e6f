"""benchmarks.peak_memory: peaks during the job count, earlier ones do not."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import peak_memory
from benchmarks.peak_memory import (
    Peak,
    benchmark_memory,
    measure_peak,
    peak_of_rival,
)
from benchmarks.rivals import Settings
from smallobj.costs.separate_process import run_apart

MEBI = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def touch(mebibytes: int) -> None:
    np.ones(mebibytes * MEBI, dtype=np.uint8).sum()


def two_peaks() -> tuple[Peak, Peak]:
    """Peaks of 100 MiB and of nothing, after 300 MiB; free() returns blocks this large at once."""
    touch(300)
    return measure_peak(lambda: touch(100)), measure_peak(lambda: None)


def test_peak_is_what_the_job_took() -> None:
    # In a separate process, as in the benchmark: in this one the system may reclaim pages of
    # other tests in the meantime.
    first, second = run_apart(two_peaks)
    assert 90 * MEBI < first.above < 130 * MEBI
    assert second.above < 20 * MEBI
    assert first.gpu_above is None


def test_peak_of_a_rival_is_above_its_model(tiny_settings: Settings, photograph: str) -> None:
    peak = peak_of_rival("whole", tiny_settings, [photograph], threads=1)
    assert isinstance(peak, Peak)
    assert peak.loaded > 10 * MEBI
    assert peak.above >= 0


def test_report_has_a_row_for_each_rival_that_ran(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Peak(3 * MEBI, 2 * MEBI), "sahi: left out, it is not here"])
    monkeypatch.setattr(peak_memory, "run_apart", lambda function, *args: next(answers))
    report = benchmark_memory(["whole", "sahi"], tiny_settings, ["a.jpg"], threads=1)
    (table,) = report.tables
    assert table.rows == [["whole image, float32", 3.0, 2.0, None]]
    assert table.notes == ["sahi: left out, it is not here"]
    assert report.raw["whole"]["above"] == 2 * MEBI
