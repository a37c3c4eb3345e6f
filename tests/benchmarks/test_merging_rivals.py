"""benchmarks.merging_rivals: the jobs merge boxes as their names say."""

from __future__ import annotations

import pytest
import torch
from detectron2.structures import Boxes, Instances

from benchmarks import merging_rivals
from benchmarks.merging_rivals import (
    MERGING_RIVALS,
    available_memory,
    benchmark_merging,
    merging_table,
    supervision_nms,
)
from benchmarks.pairing import Timing
from benchmarks.rival_packages import RivalUnavailable


def two_pairs_and_a_single_box() -> Instances:
    """Two copies of one object, two classes at one position, and a separate box."""
    found = Instances((100, 100))
    boxes = [[0, 0, 20, 20], [1, 1, 21, 21], [50, 50, 70, 70], [50, 50, 70, 70], [80, 0, 95, 9]]
    found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32))
    found.scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    found.pred_classes = torch.tensor([0, 0, 1, 2, 0])
    return found


@pytest.mark.parametrize("name", MERGING_RIVALS)
def test_copies_of_one_class_become_one(name: str) -> None:
    package = name.split()[0].lower()
    pytest.importorskip(package, reason=f"{package} is not installed: requirements-benchmark.txt")
    job = MERGING_RIVALS[name](two_pairs_and_a_single_box())
    assert job() == 4
    assert job() == 4  # a timed job must be repeatable


def test_too_many_boxes_are_refused_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merging_rivals, "import_rival", lambda module: None)
    monkeypatch.setattr(merging_rivals, "available_memory", lambda: 1000)
    with pytest.raises(RivalUnavailable, match="5 boxes"):
        supervision_nms(two_pairs_and_a_single_box())


def test_report_has_a_table_for_each_count_whatever_is_installed() -> None:
    report = benchmark_merging([50, 80], runs=1)
    for table, count in zip(report.tables, ("50", "80"), strict=True):
        assert table.title.startswith(f"{count} boxes")
        assert [row[0] for row in table.rows][-2:] == ["smallobj nmm, IoS", "smallobj nms, IoU"]
        assert set(report.raw[count]) == {row[0] for row in table.rows}


def test_a_ratio_is_taken_against_the_same_rule() -> None:
    timings = [
        Timing("SAHI GREEDYNMM, grouping alone", (2.0,), 7),
        Timing("smallobj nmm, IoS", (0.5,), 7),
        Timing("smallobj nms, IoU", (0.5,), 8),
    ]
    sahi, nmm, nms = merging_table("t", timings, []).rows
    assert sahi == ["SAHI GREEDYNMM, grouping alone", 2000.0, 2000.0, 2000.0, 7, None]
    assert nmm[4:] == [7, "4.0 x SAHI GREEDYNMM, grouping alone"]
    assert nms[4:] == [8, None]


def test_some_memory_is_available() -> None:
    assert available_memory() > 1 << 20
