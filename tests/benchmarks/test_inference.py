"""benchmarks.inference: rows, ratios, and AP50 of simulated rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances

from benchmarks import inference
from benchmarks.inference import (
    benchmark_accuracy,
    benchmark_inference,
    inference_table,
    measure_ap50,
    time_rivals,
)
from benchmarks.pairing import Timing
from benchmarks.rivals import Settings
from smallobj.data import datasets
from smallobj.geometry.boxes import annotation_boxes


class Oracle:
    """Detects the labels of a dataset, shifted by some pixels."""

    def __init__(self, dataset: str, shift: float) -> None:
        self.labels = {r["file_name"]: r["annotations"] for r in DatasetCatalog.get(dataset)}
        self.shift = shift
        self.detector = torch.nn.Identity()

    def detect_files(self, paths: Sequence[str]) -> Iterator[Any]:
        for path in paths:
            yield self.labels[path]

    def instances(self, result: Any, size: tuple[int, int]) -> Instances:
        instances = Instances(size)
        boxes = np.asarray(annotation_boxes(result)).reshape(-1, 4) + self.shift
        instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32))
        instances.scores = torch.full((len(result),), 0.5)
        instances.pred_classes = torch.tensor(
            [annotation["category_id"] for annotation in result]
        ).long()
        return instances


@pytest.fixture
def squares(tiny_dataset, catalog) -> str:
    datasets.register_dataset(tiny_dataset.spec("bench_ap", "val"))
    return "bench_ap"


def test_labels_score_100_and_other_places_0(squares: str) -> None:
    assert measure_ap50(Oracle(squares, 0.0), squares, 3) == pytest.approx(100)
    assert measure_ap50(Oracle(squares, 500.0), squares, 3) == 0


def test_only_the_first_images_count(squares: str) -> None:
    oracle = Oracle(squares, 0.0)
    first, second, _ = oracle.labels
    oracle.labels[second] = []
    assert measure_ap50(oracle, squares, 1) == pytest.approx(100)
    assert measure_ap50(oracle, squares, 2) < 100
    assert oracle.labels[first]


def test_table_has_ratios_to_the_bases_that_are_present() -> None:
    timings = [
        Timing("sahi", (8.0, 9.0, 7.0), 2),
        Timing("whole", (4.0, 4.0, 4.0), 2),
        Timing("ours", (2.0, 1.0, 3.0), 2),
    ]
    work = {"sahi": (10.0, 100.0), "whole": (6.0, 60.0), "ours": (7.0, 70.0)}
    table = inference_table("t", timings, work, {"sahi": 30.0, "whole": 31.0, "ours": 30.128})
    assert table.headers[4:] == ["x SAHI", "x whole", "Mpixel", "GFLOP", "AP50"]
    sahi, whole, ours = table.rows
    assert ours == ["smallobj, mixed", 1.0, 0.5, 1.5, "4.00", "2.00", "7.0", "70.0", "30.13"]
    assert sahi[1:6] == [4.0, 3.5, 4.5, "1.00", "0.50"]
    assert whole[0] == "whole image, float32"
    bare = inference_table("t", timings[2:], work, {})
    assert bare.headers[4:] == ["Mpixel", "GFLOP"]


def test_own_rows_run_from_file_and_from_memory(tiny_settings: Settings, photograph: str) -> None:
    rivals, absent = inference.build_rivals(["ours", "whole"], tiny_settings)
    assert absent == []
    for from_memory in (False, True):
        timings = time_rivals(rivals, [photograph] * 2, 1, from_memory)
        assert [(t.name, t.items, len(t.seconds)) for t in timings] == [
            ("ours", 2, 1),
            ("whole", 2, 1),
        ]


def test_a_whole_report(tiny_settings: Settings, photograph: str, squares: str, tmp_path) -> None:
    names = ["whole", "ours"]
    report = benchmark_inference(names, tiny_settings, [photograph], 1, squares, ap_images=2)
    files, arrays = report.tables
    assert [len(table.rows) for table in (files, arrays)] == [2, 2]
    assert set(report.raw["from file to boxes"]) == set(names)
    assert set(report.raw["ap50"]) == set(names)
    # tiles of 128 with an overlap of 32 on 192 x 160: four of 128 x 96 and the like
    assert report.raw["work"]["whole"][0] == pytest.approx(0.160 * 0.192, rel=0.01)
    report.write(str(tmp_path / "r.json"))


def test_accuracy_is_compared_with_the_bases(tiny_settings: Settings, squares: str) -> None:
    report = benchmark_accuracy(["whole", "ours"], tiny_settings, squares, ap_images=1)
    (table,) = report.tables
    assert table.headers == ["", "AP50", "against whole"]
    assert table.rows[0][2] == "+0.00"
    assert "first 1 images" in table.title


def test_an_unknown_row_is_named(tiny_settings: Settings) -> None:
    with pytest.raises(ValueError, match="'yolo'"):
        inference.build_rivals(["yolo"], tiny_settings)
