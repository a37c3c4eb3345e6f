"""The dict of a report: its metrics, galleries, images and size."""

import base64
import json

import cv2
import numpy as np
import pytest

from smallobj.data.image_file import read_image
from smallobj.evaluation.metrics.errors import find_errors
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.evaluation.statistics.seam_figures import with_planned_tiles, zone_figures
from smallobj.reports.build import ReportOptions, build_report
from smallobj.reports.columns import DETECTION_KINDS, LABEL_KINDS
from smallobj.reports.page import render
from smallobj.reports.photographs import crop_frame


def unpack(packed):
    types = {"u1": "<u1", "u2": "<u2", "u4": "<u4", "f4": "<f4"}
    return np.frombuffer(base64.b64decode(packed["data"]), types[packed["type"]])


def decode(uri):
    data = base64.b64decode(uri.split(",", 1)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def report(sample_set):
    return build_report(sample_set, ReportOptions(title="Samples"))


def test_every_section_is_there(report):
    wanted = ["headline", "curves", "size_bins", "per_class", "confusion", "errors", "misses"]
    assert set(wanted) | {"calibration", "images", "galleries", "photographs"} <= set(report)
    assert json.loads(json.dumps(report, allow_nan=False))


def test_a_tiled_run_has_metrics_at_the_edges_of_tiles(report, sample_set):
    assert "seams" not in report
    data = with_planned_tiles(sample_set, 1024, 128)
    options = ReportOptions(with_pictures=False, draws=50)
    rows = build_report(data, options)["seams"]["rows"]
    zones = zone_figures(data, 0.0)
    assert [row["values"][0] for row in rows] == [zone.objects for zone in zones]
    assert sum(row["values"][0] for row in rows) == len(data.labels)
    assert "recall " in rows[0]["note"]
    options = ReportOptions(with_pictures=False, draws=0)
    assert "recall" not in build_report(data, options)["seams"]["rows"][0]["note"]


def test_columns_contain_all_boxes_with_their_kinds(report, sample_set):
    errors = find_errors(sample_set)
    labels, detections = report["images"]["labels"], report["images"]["detections"]
    assert unpack(labels["count"]).tolist() == np.bincount(sample_set.labels.images).tolist()
    assert len(unpack(detections["score"])) == len(sample_set.detections)
    keys = [LABEL_KINDS[kind]["key"] for kind in unpack(labels["kind"])]
    assert keys.count("found") == (errors.finder >= 0).sum()
    assert keys.count("missed") == errors.missed.sum()
    wrong = [DETECTION_KINDS[kind]["wrong"] for kind in unpack(detections["kind"])]
    assert sum(wrong) == errors.false_positives.sum()


def test_galleries_point_at_their_boxes(report):
    misses, wrong = report["galleries"]
    boxes = unpack(report["images"]["labels"]["box"]).reshape(-1, 4)
    areas = [
        (boxes[item["label"], 2:] - boxes[item["label"], :2]).prod() for item in misses["items"]
    ]
    assert misses["items"]
    assert areas == sorted(areas, reverse=True)
    scores = unpack(report["images"]["detections"]["score"])
    shown = [scores[item["detection"]] for item in wrong["items"]]
    assert shown
    assert shown == sorted(shown, reverse=True)
    kinds = unpack(report["images"]["detections"]["kind"])
    assert all(kinds[item["detection"]] == item["kind"] for item in wrong["items"])


def test_crops_have_full_resolution(report, sample_set):
    for gallery in report["galleries"]:
        for item in gallery["items"]:
            x0, y0, x1, y1 = item["frame"]
            crop = decode(item["crop"])
            own = read_image(sample_set.file_names[item["image"]])[y0:y1, x0:x1]
            assert crop.shape == own.shape
            # JPEG changes little; another position or scale would change far more.
            assert np.abs(crop.astype(float) - own).mean() < 6


def test_views_are_whole_images(report):
    assert set(report["photographs"]) == {"0", "1"}
    for uri in report["photographs"].values():
        height, width = decode(uri).shape[:2]
        assert width / height == pytest.approx(2800 / 2100, rel=0.01)


def test_page_keeps_to_its_size_limit(sample_set):
    most = 700_000
    made = build_report(sample_set, ReportOptions(page_bytes=most))
    assert made["photographs"]
    assert len(render(made).encode()) < most
    tight = build_report(sample_set, ReportOptions(page_bytes=1))
    assert tight["photographs"] == {}
    assert "2 more did not fit" in tight["photographs_note"]


def test_missing_images_are_counted(sample_set):
    lost = EvaluationSet(**{**vars(sample_set), "file_names": ["/nowhere/a.jpg", "/nowhere/b.jpg"]})
    made = build_report(lost)
    assert made["photographs"] == {}
    assert "2 image files could not be read" in made["photographs_note"]
    assert not any("crop" in item for gallery in made["galleries"] for item in gallery["items"])


def test_intervals_are_shown_beside_their_metrics(sample_set):
    made = build_report(
        sample_set,
        ReportOptions(with_pictures=False),
        intervals={"AP50": (0.1, 0.2), "AP50_20-40": (0.3, 0.4)},
    )
    rows = {row["name"]: row for row in made["headline"]}
    assert (rows["AP50"]["low"], rows["AP50"]["high"]) == (0.1, 0.2)
    assert "low" not in rows["AP"]
    notes = [row.get("note") for row in made["size_bins"]["rows"]]
    assert notes == [None, "AP50 from 30.0 to 40.0 % (95 %)", None, None]


def test_no_labels_and_no_detections():
    tables = LabelTable.empty(), DetectionTable.empty()
    empty = EvaluationSet([1], ["1.jpg"], np.array([[10, 10]]), ["bolt"], *tables)
    made = build_report(empty, ReportOptions(with_pictures=False))
    assert made["galleries"][0]["items"] == []
    assert render(made)


def test_five_thousand_images_stay_small(large_page):
    assert large_page.stat().st_size < 20_000_000


def test_only_the_most_confident_detections_are_kept(sample_set):
    made = build_report(sample_set, ReportOptions(with_pictures=False, most_detections=5))
    kept = np.sort(unpack(made["images"]["detections"]["score"]))
    np.testing.assert_allclose(kept, np.sort(sample_set.detections.scores)[-5:], rtol=1e-6)
    assert f"{len(sample_set.detections) - 5:,} detections of low score" in made["photographs_note"]


def test_frames_hold_the_box_and_stay_inside():
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width = rng.integers(40, 3000, 2)
        x0, x1 = np.sort(rng.uniform(0, width, 2))
        y0, y1 = np.sort(rng.uniform(0, height, 2))
        a, b, c, d = crop_frame((x0, y0, x1, y1), (int(height), int(width)))
        assert 0 <= a < c <= width
        assert 0 <= b < d <= height
        assert a <= x0 + 1
        assert b <= y0 + 1
        assert c >= x1 - 1
        assert d >= y1 - 1
    assert crop_frame((1000, 1000, 1020, 1010), (2100, 2800)) == (954, 949, 1066, 1061)
