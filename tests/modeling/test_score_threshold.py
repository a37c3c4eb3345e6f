"""Every meta-architecture returns more detections with a lower score threshold."""

from pathlib import Path

import pytest
import torch

import smallobj
from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.score_threshold import (
    lower_score_threshold,
    score_threshold,
    score_threshold_key,
    set_score_threshold,
)

QUICK = Path(smallobj.__file__).parent.parent / "configs" / "quick"
PATHS = sorted(QUICK.glob("*_tiny.yaml"))
DETECTORS = [path for path in PATHS if path.stem != "focus_tiny"]


def read(path):
    options = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3"]
    return load_config(str(path), options)


def scores(cfg):
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    pixels = torch.randint(0, 256, (3, 96, 96), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (output,) = model([{"image": pixels.to(torch.uint8), "height": 96, "width": 96}])
    return output["instances"].scores


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_a_lowered_threshold_lets_detections_through(path):
    """Untrained weights give scores between 0 and 0.9 in every architecture here."""
    cfg = read(path)
    # The RPN's threshold isn't one of detections.
    cfg.MODEL.RPN.SCORE_THRESH_TEST = 0.0
    set_score_threshold(cfg, 0.95)
    assert not len(scores(cfg))
    lower_score_threshold(cfg, 0.0)
    found = scores(cfg)
    assert len(found)
    assert found.min() < 0.95


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_a_lower_threshold_of_the_config_stays(path):
    cfg = read(path)
    set_score_threshold(cfg, 0.01)
    lower_score_threshold(cfg, 0.5)
    assert score_threshold(cfg) == 0.01


def test_mergers_hide_no_score_either():
    cfg = read(QUICK / "cascade_tiny.yaml")
    for threshold, expected in ((0.5, 0.001), (0.0, 0.0)):
        lower_score_threshold(cfg, threshold)
        for merger in (cfg.TEST.MERGER, cfg.TEST.TTA.MERGER, cfg.TEST.ENSEMBLE.MERGER):
            assert expected == merger.SCORE_THRESH


def test_a_network_that_detects_no_objects_has_no_threshold():
    cfg = read(QUICK / "focus_tiny.yaml")
    assert score_threshold_key(cfg) is None
    lower_score_threshold(cfg, 0.5)
    assert score_threshold(cfg) == 0
