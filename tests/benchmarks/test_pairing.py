"""benchmarks: rivals take turns, and the first round is a warm-up."""

from __future__ import annotations

from benchmarks.mapper import benchmark_mapper
from benchmarks.pairing import Timing, time_in_turns


def test_rivals_take_turns() -> None:
    calls: list[str] = []
    rivals = {name: (lambda name=name: calls.append(name) or 3) for name in ("a", "b")}
    timings = time_in_turns(rivals, runs=2)
    assert calls == ["a", "b"] * 3
    assert [t.name for t in timings] == ["a", "b"]
    assert all(len(t.seconds) == 2 and t.items == 3 for t in timings)


def test_rate_is_items_over_the_median() -> None:
    assert Timing("a", (9.0, 1.0, 2.0), 10).rate == 5.0


def test_both_mappers_return_tiles(tiny_dataset, catalog) -> None:
    from detectron2.data import DatasetCatalog

    from smallobj.data import datasets

    datasets.register_dataset(tiny_dataset.spec("bench_val", "val"))
    stock, tiling = benchmark_mapper(DatasetCatalog.get("bench_val"), tile=64, per_image=4, runs=1)
    assert (stock.items, tiling.items) == (3, 12)
