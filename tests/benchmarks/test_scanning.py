"""benchmarks.scanning: the cost of a scan as a table."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import scanning
from benchmarks.huge_image import write_huge_image
from benchmarks.rivals import Settings
from benchmarks.scanning import benchmark_scan


def test_the_cost_of_a_scan_is_reported(
    tiny_settings: Settings, tmp_path, monkeypatch: pytest.MonkeyPatch, repository
) -> None:
    # In this process, which has imported everything already.
    monkeypatch.setattr(scanning, "run_apart", lambda function, *args: function(*args))
    path = str(tmp_path / "scan.tif")
    write_huge_image(path, (512, 640), [str(repository / "datasets" / "samples" / "metal.jpg")])
    settings = dataclasses.replace(tiny_settings, opts=("TEST.TILE.SIZE", "256"))
    report = benchmark_scan(settings, path, threshold=0.5, threads=1)
    (row,) = report.tables[0].rows
    assert row[0] == "640x512"
    assert row[1] == report.raw["tiles"] > 1
    assert report.raw["seconds"] > 0
    assert row[4] == pytest.approx(640 * 512 / 1e6 / report.raw["seconds"])
