"""The trainer: what it saves goes on where it stopped."""

import pytest
import torch

from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer


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
