import os

from smallobj.inference.detector_config import BUNDLED_FOLDER, prepare_detector_config
from smallobj.inference.notices import bundled_notice, nothing_found


def test_the_bundled_model_says_what_it_knows():
    cfg = prepare_detector_config(device="cpu")
    notice = bundled_notice(cfg)
    assert "30 classes" in notice
    assert "10 to 100 px" in notice
    assert "--config-file and --weights" in notice
    assert "\n" not in notice
    cfg.MODEL.WEIGHTS = os.path.join(os.path.dirname(BUNDLED_FOLDER), "mine.pth")
    assert bundled_notice(cfg) == ""


def test_nothing_found_names_the_threshold_and_some_classes():
    text = nothing_found(0.25, [f"c{number}" for number in range(30)])
    assert "score of at least 0.25" in text
    assert "--confidence-threshold" in text
    assert text.endswith("c10, c11 and 18 more classes")
