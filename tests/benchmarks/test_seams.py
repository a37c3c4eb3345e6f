"""The study of seams, with a perfect detector of the squares in its tile."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from benchmarks import seam_pictures, seams
from smallobj.data import datasets
from smallobj.evaluation.metrics.seams import CUT, count_views, seam_zones
from smallobj.evaluation.reading.tables import DetectionTable


class Oracle(nn.Module):
    """Detects coloured squares on grey, clipped to the tile; larger ones have higher scores."""

    def forward(self, items):
        return [{"instances": self.look(item["image"])} for item in items]

    @staticmethod
    def look(image):
        pixels = image.permute(1, 2, 0).numpy().astype(int)
        colored = (np.ptp(pixels, axis=2) > 60).astype(np.uint8)
        _, _, stats, centers = cv2.connectedComponentsWithStats(colored)
        stats, centers = stats[1:], centers[1:].round().astype(int)
        found = Instances(image.shape[1:])
        boxes = np.hstack([stats[:, :2], stats[:, :2] + stats[:, 2:4]])
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.tensor(stats[:, 4] / 4000 + 0.5, dtype=torch.float32)
        # Red, green, blue are the classes 0, 1, 2; pixels are BGR.
        found.pred_classes = torch.tensor(2 - pixels[centers[:, 1], centers[:, 0]].argmax(axis=1))
        return found


@pytest.fixture
def study(many_squares, tiny_config, catalog, monkeypatch):
    """Reads these photographs with a perfect detector."""
    monkeypatch.setattr(seams, "load_model", lambda cfg: Oracle())
    datasets.register_dataset(many_squares.spec("squares", "val"))
    cfg = tiny_config("TEST.TILE.SIZE", 160, "TEST.TILE.OVERLAP", 32)

    def read(images=10, grids=4, any_class=False):
        return list(seams.read_with_grids(cfg, "squares", images, grids, any_class))

    return read


def test_shifted_plans_show_every_object_whole():
    rng = np.random.default_rng(0)
    for shift in (0, 1, 30, 71):
        tiles = seams.shifted_plan((500, 700), 128, 56, shift)
        assert tiles.min() == 0
        assert (tiles[:, 2:].max(axis=0) == (700, 500)).all()
        assert (tiles[:, 2:] > tiles[:, :2]).all()
        sides = rng.uniform(1, 56, (500, 2))
        corner = rng.uniform(0, 1, (500, 2)) * ((700, 500) - sides)
        assert count_views(np.hstack([corner, corner + sides]), tiles).min() >= 1
    edges = [seams.shifted_plan((500, 700), 128, 56, shift)[0, 2] for shift in (0, 30)]
    assert edges[0] - edges[1] == 30


def test_a_perfect_detector_has_no_misses_and_no_duplicates(study):
    readings = study()
    figures = seams.summarize(readings, 0.5)
    zones = figures[seams.RULE]["zones"]
    assert zones["cut"]["times"] > 20
    assert zones["off"]["times"] > 20
    for zone in zones.values():
        assert zone["found"] == 1
        assert zone["duplicates"] == 0
    assert figures[seams.RULE]["pairs"]["recall near"]["difference"] == 0
    assert figures[seams.RULE]["pairs"]["recall near"]["objects"] > 10
    # Without the rule there are duplicates.
    assert figures["NMS alone"]["zones"]["cut"]["duplicates"] > 0
    assert figures["NMS alone"]["zones"]["off"]["duplicates"] == 0


def test_classes_are_matched_by_name(many_squares, tiny_config, catalog, monkeypatch, study):
    class Turned(Oracle):
        def forward(self, items):
            found = [output["instances"] for output in super().forward(items)]
            for one in found:
                one.pred_classes = 2 - one.pred_classes
            return [{"instances": one} for one in found]

    monkeypatch.setattr(seams, "load_model", lambda cfg: Turned())
    names = ("MODEL.CLASS_NAMES", ["blue", "green", "red"])
    cfg = tiny_config("TEST.TILE.SIZE", 160, "TEST.TILE.OVERLAP", 32, *names)
    (reading,) = seams.read_with_grids(cfg, "squares", 1, 1)
    zones = seams.summarize([reading], 0.5)[seams.RULE]["zones"]
    assert zones["off"]["times"] > 5
    assert zones["off"]["found"] == 1


def test_objects_keep_their_number_in_all_grids(study):
    readings = study(grids=3)
    assert [r.photograph for r in readings] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    seen = seams.observe_readings(readings, seams.RULE, 0.5)
    # 25 objects in each of two photographs, none in the last.
    assert sorted(seen.object.tolist()) == sorted(list(range(50)) * 3)
    assert len(study(images=1, grids=2)) == 2


def test_only_tiles_near_objects_are_read(study):
    for reading in study():
        around = reading.truth.boxes + np.array([-1, -1, 1, 1]) * 20
        for tile in reading.tiles:
            assert ((tile[:2] <= around[:, 2:]) & (tile[2:] >= around[:, :2])).all(axis=1).any()
        assert count_views(reading.truth.boxes, reading.tiles).min(initial=1) == 1
    assert not len(study()[-1].tiles)  # the photograph without objects


def test_any_class_treats_all_classes_as_one(study):
    classes = {int(c) for r in study() for c in r.found[seams.RULE].categories}
    assert classes == {0, 1, 2}
    for reading in study(any_class=True):
        assert not reading.truth.categories.any()
        assert not reading.found[seams.RULE].categories.any()


def test_tables_show_every_variant_and_zone(study):
    text = "\n".join(table.text() for table in seams.tables(seams.summarize(study(), 0.5)))
    for word in (*seams.VARIANTS, "off", "beside", "cut", "duplicates", "95% interval"):
        assert word in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"images": 0}, "got 0 and 4"), ({"grids": 0}, "got 10 and 0")],
)
def test_too_little_to_study(study, changes, message):
    with pytest.raises(ValueError, match=message):
        study(**changes)


@pytest.mark.parametrize(
    "options",
    [("TEST.TILE.ENABLED", False), ("INPUT.MIN_SIZE_TEST", 800), ("INPUT.SQUASH", (64, 64))],
)
def test_a_config_without_seams_is_refused(tiny_config, options):
    with pytest.raises(ValueError, match="seams need tiles"):
        seams.read_with_grids(tiny_config(*options), "squares", 1, 1)


def spoiled(reading, spoil):
    """The same reading with other detections: ``spoil(boxes, is_cut)`` of the labels."""
    truth = reading.truth
    is_cut = seam_zones(truth.boxes, reading.tiles, reading.size) == CUT
    boxes, numbers = spoil(truth.boxes, is_cut)
    found = DetectionTable.single_image(boxes, np.full(len(boxes), 0.9), truth.categories[numbers])
    return dataclasses.replace(reading, found={seams.RULE: found})


def test_worst_cases_are_selected_and_drawn(study):
    readings = study()
    assert seam_pictures.find_cases(readings, seams.RULE, 0.5) == []
    bad = [spoiled(reading, lambda boxes, cut: (boxes[~cut], ~cut)) for reading in readings]
    cases = seam_pictures.find_cases(bad, seams.RULE, 0.5, most=2)
    assert [case.title for case in cases] == ["missed near a seam"] * 2
    for case in cases:
        near, off = (
            seams.observe_readings([reading], seams.RULE, 0.5) for reading in (case.near, case.off)
        )
        assert not near.found[case.number]
        assert off.found[case.number]
    sheet = seam_pictures.draw_cases(cases, seams.RULE, 0.5, ["red", "green", "blue"])
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3
    # A row of up to three cases; the edge of a tile is drawn on the left half of each.
    assert (sheet == (0, 255, 255)).all(axis=2).any()


def test_duplicates_are_cases_too(study):
    def with_left_halves(boxes, cut):
        halves = boxes[cut].copy()
        halves[:, 2] = (halves[:, 0] + halves[:, 2]) / 2 - 1
        return np.vstack([boxes, halves]), np.append(np.arange(len(boxes)), np.flatnonzero(cut))

    bad = [spoiled(reading, with_left_halves) for reading in study()]
    cases = seam_pictures.find_cases(bad, seams.RULE, 0.5)
    assert {case.title for case in cases} == {"duplicate near a seam"}
    assert len(cases) == 12
