"""benchmarks.evaluation: rivals evaluate the same boxes and agree."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from benchmarks.evaluation import (
    OURS,
    READY,
    WHOLE,
    benchmark_evaluation,
    evaluation_rivals,
    evaluation_table,
    largest_difference,
    make_evaluation_set,
)
from benchmarks.pairing import Timing


def test_random_sets_are_as_documented() -> None:
    data = make_evaluation_set(4000, 10, seed=1)
    assert (len(data.detections), len(data.labels), len(data.image_ids)) == (4000, 1000, 400)
    sides = data.labels.boxes[:, 2:] - data.labels.boxes[:, :2]
    assert 10 <= sides.min() < 11
    assert 99 < sides.max() <= 100
    assert data.labels.boxes.min() >= 0
    assert (data.labels.boxes[:, 2:] <= [2800, 2100]).all()
    assert 5 < data.labels.crowd.sum() < 50
    assert len(np.unique(data.detections.scores)) <= 1001
    assert set(data.detections.categories.tolist()) == set(range(30))
    again = make_evaluation_set(4000, 10, seed=1)
    np.testing.assert_array_equal(data.detections.boxes, again.detections.boxes)


def test_all_rivals_agree_in_repeated_runs() -> None:
    rivals = evaluation_rivals(make_evaluation_set(600, 30, seed=2))
    with contextlib.redirect_stdout(io.StringIO()):
        curves = {name: (run(), run()) for name, run in rivals.items()}
    expected = curves[WHOLE][0]
    assert 0.1 < expected.precision[expected.precision > -1].mean() < 0.9
    for first, second in curves.values():
        for result in (first, second):
            np.testing.assert_allclose(result.precision, expected.precision, atol=1e-9, rtol=0)
            np.testing.assert_allclose(result.recall, expected.recall, atol=1e-9, rtol=0)
    assert largest_difference(make_evaluation_set(300, 10, seed=3)) < 1e-9


def test_report_has_a_table_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    report = benchmark_evaluation([40, 60], [5, 20], runs=1)
    assert [table.title.split(",")[0] for table in report.tables] == [
        "40 boxes in 8 images",
        "40 boxes in 2 images",
        "60 boxes in 12 images",
        "60 boxes in 3 images",
    ]
    for table, seconds in zip(report.tables, report.raw.values(), strict=True):
        assert set(seconds) == {row[0] for row in table.rows}
        assert "e-" in table.notes[1] or "0.0e+00" in table.notes[1]
    assert capsys.readouterr().out == ""


def test_ratios_of_medians() -> None:
    timings = [Timing(WHOLE, (6.0, 1, 9), 1), Timing(READY, (4.0,), 1), Timing(OURS, (0.5,), 1)]
    rows = {row[0]: row[1:] for row in evaluation_table("", timings, 0).rows}
    assert rows[OURS] == [500, 500, 500, 12, 8]
    assert rows[WHOLE] == [6000, 1000, 9000, 1, pytest.approx(4 / 6)]


@pytest.mark.parametrize("sizes", [([0], [5], 1), ([9], [0], 1), ([9], [5], 0)])
def test_numbers_below_one_are_refused(sizes: tuple[list[int], list[int], int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        benchmark_evaluation(*sizes)
