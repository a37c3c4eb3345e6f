"""The figures beside the mAP, against the functions that make each of them."""

import numpy as np
import pytest

from smallobj.evaluation.evaluators.analysis import figures_at_half, size_figures
from smallobj.evaluation.metrics.errors import find_errors
from smallobj.evaluation.metrics.size_bins import DEFAULT_BINS, size_bin_scores
from smallobj.evaluation.reading.tables import DetectionTable
from smallobj.evaluation.statistics.seam_figures import with_planned_tiles, zone_figures


def test_two_objects_one_found_and_one_false_alarm(small_set):
    # Two objects of 20 px; the first found at 0.9, then a false alarm at 0.6 far from both.
    data = small_set(
        labels=[(0, [0, 0, 20, 20]), (0, [50, 50, 70, 70])],
        detections=[(0, [0, 0, 20, 20], 0.9), (0, [80, 0, 99, 20], 0.6)],
    )
    figures = figures_at_half(data, find_errors(data))
    # Shown from 0.9 on: one right of one, one found of two.
    assert figures["best-F1"] == pytest.approx(
        {"F1": 200 / 3, "precision": 100, "recall": 50, "confidence": 90}
    )
    assert figures["misses"]["LAMR"] == pytest.approx(50)
    # |1 - 0.9| and |0 - 0.6|, each a bin of its own.
    assert figures["calibration"]["ECE"] == pytest.approx(100 * (0.1 + 0.6) / 2)
    # Without the missed object AP50 is 1; 51 of 101 recalls are reached now.
    assert figures["errors"]["missed"] == pytest.approx(100 - 100 * 51 / 101)
    assert figures["errors"]["background"] == pytest.approx(0)
    assert figures["errors"]["false-positives"] == pytest.approx(0)


def test_sizes_are_those_of_the_bins(random_set):
    data = random_set(4)
    figures = size_figures(data, DEFAULT_BINS, 100)
    for scores in size_bin_scores(data, DEFAULT_BINS):
        summary = scores.summary()
        for name, key in (("AP50", "ap50"), ("recall", "recall50")):
            expected = summary[key] * 100
            np.testing.assert_allclose(figures[f"{name}-{scores.bin.name}"], expected)


def test_nothing_found(random_set):
    data = random_set(2)
    nothing = data.detections[np.zeros(0, np.int64)]
    data = data.with_detections(nothing)
    figures = figures_at_half(data, find_errors(data))
    assert figures["misses"]["LAMR"] == 100
    assert np.isnan(figures["calibration"]["ECE"])


def test_scores_that_are_no_probabilities_have_no_calibration(random_set):
    data = random_set(2)
    columns = {**vars(data.detections), "scores": data.detections.scores + 3}
    data = data.with_detections(DetectionTable(**columns))
    assert np.isnan(figures_at_half(data, find_errors(data))["calibration"]["ECE"])


def test_of_tiled_detectors_what_seams_did(random_set):
    data = random_set(3, images=12)
    assert "seams" not in figures_at_half(data, find_errors(data))
    data = with_planned_tiles(data, 60, 20)
    figures = figures_at_half(data, find_errors(data))
    point = figures["best-F1"]["confidence"] / 100
    # Scores have one decimal, so a little less lets the same ones pass.
    zones = zone_figures(data, point - 1e-9)
    assert len(figures["seams"]) == 6
    for zone in zones:
        assert figures["seams"][f"recall-{zone.name}"] == zone.recall.value * 100
        assert figures["seams"][f"duplicates-{zone.name}"] == zone.duplicates.value * 100
    nothing = data.with_detections(data.detections[:0])
    assert figures_at_half(nothing, find_errors(nothing))["seams"]["recall-off"] == 0
