"""The trainer: what it saves goes on where it stopped."""

import torch

from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer


def make(tiny_config, tiny_dataset, folder, steps):
    options = ["DATASETS.TEST", "()", "SOLVER.MAX_ITER", steps, "OUTPUT_DIR", folder]
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
