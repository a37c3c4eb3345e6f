"""A focus network goes through the same trainer: steps, validation, pictures, best, resuming."""

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from smallobj import load_config
from smallobj.checkpoint import load_weights
from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer
from smallobj.engine.trainer import best_metric


@pytest.fixture
def config(repository, tiny_dataset, catalog):
    def make(folder, *options):
        words = [*tiny_dataset.options("focus"), "OUTPUT_DIR", folder, *options]
        words += ["MODEL.ROI_HEADS.NUM_CLASSES", "3"]
        path = repository / "configs" / "quick" / "focus_tiny.yaml"
        cfg = load_config(str(path), [str(word) for word in words])
        register_from_config(cfg)
        return cfg

    return make


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def test_it_trains_validates_draws_and_resumes(config, tmp_path):
    # A threshold below what an untrained network gives: something is chosen and drawn.
    options = ("TEST.VIS_IMAGES", 2, "TEST.FOCUS.HEAT_THRESH", 0.001, "TEST.FOCUS.MAX_AREA", 100.0)
    Trainer(config(tmp_path, *options)).train()
    last = metrics(tmp_path)[-1]
    assert last["focus/kept"] == 100
    assert last["focus/regions"] >= 1
    assert any("total_loss" in row for row in metrics(tmp_path))
    best = torch.load(tmp_path / "model_best.pth", weights_only=True)
    assert best["metric"] >= last["focus/saved"] - 1e-3
    (events,) = tmp_path.glob("events.out.tfevents.*")
    curves = EventAccumulator(str(events))
    curves.Reload()
    assert len([tag for tag in curves.Tags()["images"] if tag.startswith("validation/")]) == 2

    resumed = Trainer(config(tmp_path, *options, "SOLVER.MAX_ITER", 6))
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 4
    statistics = "backbone.steps.0.norm.running_mean"
    final = torch.load(tmp_path / "model_final.pth", weights_only=True)["model"]
    assert torch.equal(resumed.model.state_dict()[statistics], final[statistics])
    resumed.train()
    assert metrics(tmp_path)[-1]["iteration"] > 4


def test_what_training_wrote_is_evaluated_as_it_was(config, tmp_path):
    cfg = config(tmp_path, "TEST.VIS_IMAGES", 0, "TEST.FOCUS.HEAT_THRESH", 0.001)
    Trainer(cfg).train()
    model = Trainer.build_model(cfg)
    load_weights(model, tmp_path / "model_final.pth")
    found = Trainer.test(cfg, model)["focus"]
    for name, value in found.items():
        assert metrics(tmp_path)[-1][f"focus/{name}"] == pytest.approx(value, nan_ok=True)


def test_what_chooses_the_best_checkpoint(config, tmp_path):
    cfg = config(tmp_path)
    assert best_metric(cfg) == "focus/saved"
    cfg.TEST.METRICS = ["focus", "challenge"]
    assert best_metric(cfg) == "challenge/mAP50"
    cfg.TEST.METRICS = ["focus", "challenge", "coco"]
    assert best_metric(cfg) == "bbox/AP50"
