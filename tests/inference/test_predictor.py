"""The predictor over many files: the same boxes as one at a time, broken files told."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import smallobj
from smallobj import load_config
from smallobj.checkpoint import save_weights
from smallobj.inference import SmallObjectPredictor
from smallobj.inference.focus import FocusedDetector, RegionChooser
from smallobj.modeling import build_model
from smallobj.modeling.score_threshold import set_score_threshold


@pytest.fixture
def predictor(tiny_config, tmp_path):
    cfg = tiny_config("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    torch.manual_seed(0)
    cfg.MODEL.WEIGHTS = str(tmp_path / "random.safetensors")
    save_weights(build_model(cfg), cfg.MODEL.WEIGHTS)
    return lambda *options: SmallObjectPredictor(
        tiny_config(*options, "MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
    )


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(1)
    paths = []
    for number, size in enumerate([(150, 200), (90, 120), (150, 200)]):
        paths.append(str(tmp_path / f"{number}.png"))
        cv2.imwrite(paths[-1], rng.integers(0, 255, (*size, 3), dtype=np.uint8))
    return paths


@pytest.mark.parametrize(
    "options",
    [(), ("TEST.TILE.MIX_IMAGES", False), ("TEST.TILE.ENABLED", False)],
    ids=["tiles", "not mixed", "whole"],
)
def test_a_stream_gives_what_single_calls_give(predictor, photos, options):
    model = predictor(*options)
    found = list(model.stream(photos))
    assert [prediction.path for prediction in found] == photos
    for prediction in found:
        image = cv2.imread(prediction.path)
        np.testing.assert_array_equal(prediction.image, image)
        expected = model(image)["instances"]
        boxes, reference = prediction.instances.pred_boxes.tensor, expected.pred_boxes.tensor
        torch.testing.assert_close(boxes, reference, rtol=1e-4, atol=1e-3)
        assert prediction.instances.image_size == image.shape[:2]


def test_broken_files_are_told_in_their_places(predictor, photos, tmp_path):
    broken = str(tmp_path / "broken.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    missing = str(tmp_path / "missing.jpg")
    paths = [broken, photos[0], missing, broken, photos[1], missing]
    found = list(predictor().stream(paths))
    assert [prediction.path for prediction in found] == paths
    assert [bool(prediction.error) for prediction in found] == [1, 0, 1, 1, 0, 1]
    assert all((p.instances is None) == bool(p.error) for p in found)
    assert "missing.jpg: no such image file" in found[2].error


def test_no_files(predictor):
    assert list(predictor().stream([])) == []


class BrightCells(nn.Module):
    """A focus network for photographs at half scale: a cell is as hot as its brightest pixel."""

    reduction, stride = 2, 16

    def forward(self, items):
        maps = [nn.functional.max_pool2d(i["image"][:1].float(), 8, ceil_mode=True) for i in items]
        return [
            {"focus": heat[0] / 255, "side": torch.full_like(heat[0], 20), "stride": 16}
            for heat in maps
        ]


@pytest.fixture
def spotted(tmp_path):
    """Dark photographs with two bright spots, none, and one; then a broken file, then one more."""
    rng = np.random.default_rng(2)
    paths = []
    for number, spots in enumerate([[(30, 40), (150, 220)], [], [(100, 100)], None, [(60, 200)]]):
        paths.append(str(tmp_path / f"{number}.png"))
        image = rng.integers(0, 60, (201, 303, 3), dtype=np.uint8)
        for y, x in spots or []:
            image[y : y + 20, x : x + 20] = 250
        cv2.imwrite(paths[-1], image)
        if spots is None:
            (tmp_path / f"{number}.png").write_bytes(b"torn")
    return paths


@pytest.mark.parametrize("reduced_first", [True, False])
@pytest.mark.parametrize("mix_images", [True, False])
def test_focus_reads_the_same_whether_files_are_glanced_at_first(
    predictor, spotted, reduced_first, mix_images
):
    model = predictor(
        *("TEST.FOCUS.REDUCED_FIRST", reduced_first, "TEST.TILE.MIX_IMAGES", mix_images)
    )
    settings = {"threshold": 0.5, "windows": (96,), "margins": (24,), "max_area": 1.0}
    model.model = FocusedDetector(RegionChooser(BrightCells(), **settings), model.model)
    found = list(model.stream(spotted))
    assert [prediction.path for prediction in found] == spotted
    assert [bool(prediction.error) for prediction in found] == [0, 0, 0, 1, 0]
    assert [0 if p.error else len(p.tiles) for p in found] == [2, 0, 1, 0, 1]
    # What is dark is never decoded at full scale, if it was looked at before.
    assert [p.image is None for p in found] == [False, reduced_first, False, True, False]
    for prediction in (p for p in found if not p.error):
        expected = model(cv2.imread(prediction.path))
        np.testing.assert_array_equal(prediction.tiles, expected["tiles"])
        boxes = prediction.instances.pred_boxes.tensor
        reference = expected["instances"].pred_boxes.tensor
        torch.testing.assert_close(boxes, reference, rtol=1e-4, atol=1e-3)
        assert prediction.instances.image_size == (201, 303)


QUICK = Path(smallobj.__file__).parent.parent / "configs" / "quick"
DETECTORS = [path for path in sorted(QUICK.glob("*_tiny.yaml")) if path.stem != "focus_tiny"]


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_a_lower_threshold_than_the_config_s_counts(path, tmp_path):
    """With random weights no score reaches 0.95, and only the threshold asked for is lower."""
    cfg = load_config(str(path), ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    set_score_threshold(cfg, 0.95)
    cfg.MODEL.RPN.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.WEIGHTS = str(tmp_path / "random.safetensors")
    torch.manual_seed(0)
    save_weights(build_model(cfg), cfg.MODEL.WEIGHTS)
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    assert not len(SmallObjectPredictor(cfg)(image)["instances"])
    everything = SmallObjectPredictor(cfg, score_threshold=0.0)(image)["instances"].scores
    assert len(everything)
    middle = float(everything.median())
    some = SmallObjectPredictor(cfg, score_threshold=middle)(image)["instances"].scores
    assert 0 < len(some) < len(everything)
    assert some.min() >= middle


IMAGE = np.zeros((20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ((IMAGE + 0.5).astype(np.float32), r"\(20, 30, 3\) float32, values from 0.5 to 0.5"),
        (IMAGE.astype(np.uint16), r"\(20, 30, 3\) uint16, values from 0 to 0"),
        (IMAGE[:, :, 0], r"\(20, 30\) uint8"),
        (np.zeros((20, 30, 4), np.uint8), r"\(20, 30, 4\)"),
        (IMAGE.transpose(2, 0, 1), r"\(3, 20, 30\)"),
        (IMAGE[:0], r"\(0, 30, 3\)"),
        (torch.zeros(20, 30, 3), "Tensor"),
        ("a.jpg", "str"),
    ],
)
def test_arrays_that_a_model_would_take_for_something_else_are_refused(image, told):
    rule = r"takes an image as \(H, W, 3\) uint8, BGR, values from 0 to 255; got "
    # Without a model, which is not reached.
    predictor = SmallObjectPredictor.__new__(SmallObjectPredictor)
    with pytest.raises(ValueError, match=rule + told):
        predictor(image)
