"""The trainer: what it saves goes on where it stopped."""

import pytest
import torch
from detectron2.engine import AMPTrainer, SimpleTrainer

from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer
from smallobj.modeling import build_model


def make(tiny_config, tiny_dataset, folder, steps, *more):
    options = ["DATASETS.TEST", "()", "SOLVER.MAX_ITER", steps, "OUTPUT_DIR", folder, *more]
    cfg = tiny_config(*tiny_dataset.options("trainer"), *options)
    register_from_config(cfg)
    return Trainer(cfg)


def test_a_resumed_run_goes_on_with_its_momentum(tiny_config, tiny_dataset, tmp_path, catalog):
    trainer = make(tiny_config, tiny_dataset, tmp_path, 2)
    trainer.train()
    resumed = make(tiny_config, tiny_dataset, tmp_path, 4)
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 2
    there, here = (t._trainer.optimizer.state_dict()["state"] for t in (trainer, resumed))
    assert there.keys() == here.keys()
    assert there
    for key, state in there.items():
        torch.testing.assert_close(here[key]["momentum_buffer"], state["momentum_buffer"])
    for name, tensor in trainer.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], tensor)


def test_a_frozen_layer_without_weights_is_refused(tiny_config, tiny_dataset, tmp_path, catalog):
    with pytest.raises(ValueError, match=r"MODEL.WEIGHTS is \"\".*FrozenBN"):
        make(tiny_config, tiny_dataset, tmp_path, 1, "MODEL.RESNETS.NORM", "FrozenBN")


def test_a_run_with_adamw_resumes(tiny_config, tiny_dataset, tmp_path, catalog):
    options = ("SOLVER.OPTIMIZER", "AdamW", "SOLVER.BASE_LR", 0.001)
    trainer = make(tiny_config, tiny_dataset, tmp_path, 1, *options)
    trainer.train()
    resumed = make(tiny_config, tiny_dataset, tmp_path, 2, *options)
    resumed.resume_or_load(resume=True)
    there, here = (t._trainer.optimizer.state_dict()["state"] for t in (trainer, resumed))
    assert there
    for key, state in there.items():
        torch.testing.assert_close(here[key]["exp_avg_sq"], state["exp_avg_sq"])


def test_a_run_begins_with_a_part_of_the_weights(tiny_config, tiny_dataset, tmp_path, catalog):
    first = make(tiny_config, tiny_dataset, tmp_path / "first", 1)
    weights = tmp_path / "weights.pth"
    torch.save({"model": first.model.state_dict()}, weights)
    options = ("SEED", 5, "MODEL.WEIGHTS", weights, "MODEL.WEIGHTS_PARTS", "['backbone.bottom_up']")
    second = make(tiny_config, tiny_dataset, tmp_path / "second", 1, *options)
    second.resume_or_load(resume=False)
    there, here = first.model.state_dict(), second.model.state_dict()
    same = {name for name in there if torch.equal(there[name], here[name])}
    assert {name for name in there if name.startswith("backbone.bottom_up")} <= same
    assert "proposal_generator.rpn_head.conv.weight" not in same


@pytest.fixture
def make_for_gpu(tiny_config, tiny_dataset, tmp_path, catalog, monkeypatch):
    """A trainer whose config names a GPU; its model stays on the processor, so it can't train."""

    def build_on_cpu(cfg):
        cfg = cfg.clone()
        cfg.MODEL.DEVICE = "cpu"
        return build_model(cfg)

    monkeypatch.setattr(Trainer, "build_model", staticmethod(build_on_cpu))
    monkeypatch.setattr("smallobj.engine.trainer.on_available_device", lambda cfg: cfg)

    def build(*options):
        options = ("MODEL.DEVICE", "cuda", *options)
        trainer = make(tiny_config, tiny_dataset, tmp_path, 1, *options)
        if isinstance(trainer._trainer, AMPTrainer):
            # The one it has made is switched off where there is no GPU, and has no state then.
            trainer._trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        return trainer

    return build


def test_amp_scales_gradients_on_a_gpu(make_for_gpu):
    assert type(make_for_gpu()._trainer) is SimpleTrainer
    assert type(make_for_gpu("SOLVER.AMP.ENABLED", True)._trainer) is AMPTrainer


def test_amp_without_a_gpu_is_refused(tiny_config, tiny_dataset, tmp_path, catalog):
    with pytest.raises(ValueError, match=r"DEVICE cpu.*MODEL\.BACKBONE\.PRECISION auto"):
        make(tiny_config, tiny_dataset, tmp_path, 1, "SOLVER.AMP.ENABLED", True)


def test_the_scale_of_gradients_is_saved(make_for_gpu):
    amp = ("SOLVER.AMP.ENABLED", True)
    trainer, resumed, plain = make_for_gpu(*amp), make_for_gpu(*amp), make_for_gpu()
    trainer._trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    resumed.load_state_dict(trainer.state_dict())
    assert resumed._trainer.grad_scaler.get_scale() == 16.0
    # With and without AMP a run goes on with the other's checkpoint.
    resumed.load_state_dict(plain.state_dict())
    assert resumed._trainer.grad_scaler.get_scale() == 16.0
    plain.load_state_dict(trainer.state_dict())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_with_amp_resumes_on_a_gpu(tiny_config, tiny_dataset, tmp_path, catalog):
    options = ("MODEL.DEVICE", "cuda", "SOLVER.AMP.ENABLED", True)
    make(tiny_config, tiny_dataset, tmp_path, 2, *options).train()
    resumed = make(tiny_config, tiny_dataset, tmp_path, 4, *options)
    resumed.resume_or_load(resume=True)
    assert resumed._trainer.grad_scaler.state_dict()["_growth_tracker"] > 0
    resumed.train()
    assert all(weight.isfinite().all() for weight in resumed.model.parameters())
