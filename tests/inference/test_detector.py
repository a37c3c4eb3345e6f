"""One chain of passes and models for the demo, for validation and for bulk runs."""

import json

import cv2
import numpy as np
import pytest
import torch
from detectron2.evaluation import DatasetEvaluator

from smallobj import load_config
from smallobj.checkpoint import save_weights
from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer
from smallobj.inference import SmallObjectPredictor
from smallobj.inference.ensemble import EnsembleDetector
from smallobj.inference.tta import TTADetector
from smallobj.modeling import build_model

NAMES = "['red', 'green', 'blue']"


@pytest.fixture
def place(tiny_config, tiny_dataset, tmp_path, catalog):
    """Two untrained models with their configs, and options that put passes and both together."""
    for name, seed in (("one", 0), ("two", 1)):
        cfg = tiny_config("MODEL.CLASS_NAMES", NAMES, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
        cfg.merge_from_list([*tiny_dataset.options("chain"), "TEST.TILE.SIZE", 256])
        torch.manual_seed(seed)
        save_weights(build_model(cfg), tmp_path / f"{name}.safetensors")
        (tmp_path / f"{name}.yaml").write_text(cfg.dump())
    return tmp_path


@pytest.fixture
def options(place):
    return [
        *("MODEL.WEIGHTS", str(place / "one.safetensors"), "TEST.TTA.ENABLED", "True"),
        *("TEST.TTA.FLIPS", "('vertical',)", "TEST.DETECTIONS_PER_IMAGE", "20"),
        *("TEST.ENSEMBLE.MEMBERS", f"['{place / 'two.yaml'}:{place / 'two.safetensors'}']"),
    ]


class Recorder(DatasetEvaluator):
    """Remembers what it is given, by file name."""

    def __init__(self):
        self.found = {}

    def process(self, inputs, outputs):
        for item, output in zip(inputs, outputs, strict=True):
            self.found[item["file_name"]] = output["instances"].to("cpu")

    def evaluate(self):
        return {}


def test_validation_and_demo_run_the_same(place, options, load_script, monkeypatch, caplog):
    cfg = load_config(str(place / "one.yaml"), options)
    predictor = SmallObjectPredictor(cfg)
    assert isinstance(predictor.model, EnsembleDetector)
    assert isinstance(predictor.model.members[0], TTADetector)

    register_from_config(cfg)
    model = Trainer.build_model(cfg)
    model.load_state_dict(predictor.model.members[0].detector.model.state_dict())
    recorder = Recorder()
    Trainer.test(cfg, model.train(), [recorder])
    told = [text for text in caplog.messages if "TEST.DETECTIONS_PER_IMAGE 20 cut" in text]
    # Once for each kind of limit: 3 images, 2 models with 2 passes, of 1 tile each.
    for what in ("3 images", "12 tiles"):
        assert sum(f"in {what};" in text for text in told) == 1
    assert all(text.startswith("in chain_val: ") for text in told)
    assert model.training
    assert len(recorder.found) == 3
    for path, found in recorder.found.items():
        expected = predictor(cv2.imread(path))["instances"]
        assert 0 < len(found) == len(expected) <= 20
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-5)

    monkeypatch.chdir(place)
    paths = sorted(recorder.found)
    words = ["--input", *paths, "--config-file", "one.yaml", "--device", "cpu", "--json", "d.json"]
    words += ["--output", "drawn", "--confidence-threshold", "0.0", "--debug", "--opts", *options]
    assert load_script("demo.py").main(words) == 0
    images = json.loads((place / "d.json").read_text())["images"]
    for image, path in zip(images, paths, strict=True):
        scores = [one["score"] for one in image["detections"]]
        np.testing.assert_allclose(scores, recorder.found[path].scores, atol=1e-3)


def test_an_image_to_scan_is_refused_with_a_sentence(place, options, load_script, capsys):
    path = place / "scan.png"
    cv2.imwrite(str(path), np.zeros((60, 80, 3), np.uint8))
    words = ["--input", str(path), "--scan", "--config-file", str(place / "one.yaml"), "--device"]
    words += ["cpu", "--output", str(place / "drawn"), "--opts"]
    assert load_script("demo.py").main([*words, *options]) == 2
    assert "a scan runs one detector" in capsys.readouterr().err
    assert load_script("demo.py").main([*words, *options[:6]]) == 2
    assert "it needs TEST.TTA.PER_TILE True" in capsys.readouterr().err
    assert load_script("demo.py").main([*words, *options[:6], "TEST.TTA.PER_TILE", "True"]) == 0
