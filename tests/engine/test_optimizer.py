"""The optimiser that a config names, as the trainer builds it."""

import pytest
import torch
from torch import nn

from smallobj import get_cfg
from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer
from smallobj.engine.optimizer import build_optimizer


def config(name):
    cfg = get_cfg()
    cfg.SOLVER.OPTIMIZER = name
    cfg.SOLVER.BASE_LR = 0.003
    cfg.SOLVER.WEIGHT_DECAY = 0.02
    return cfg


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_it_is_the_one_that_is_named(name):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = build_optimizer(config(name), model)
    assert isinstance(optimizer, getattr(torch.optim, name))
    # Detectron2's rule: norm layers decay by a key of their own, which is 0.
    decays = {group["weight_decay"]: len(group["params"]) for group in optimizer.param_groups}
    assert decays == {0.02: 2, 0.0: 2}
    assert {group["lr"] for group in optimizer.param_groups} == {0.003}


def test_gradients_are_clipped_as_with_any_other():
    cfg = config("Adam")
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 0.5
    layer = nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(cfg, layer)
    layer.weight.grad = torch.tensor([[100.0]])
    optimizer.step()
    assert layer.weight.grad.item() == 0.5


def test_an_unknown_one_is_told():
    with pytest.raises(ValueError, match=r"SOLVER\.OPTIMIZER must be one of .*; got 'Lion'"):
        build_optimizer(config("Lion"), nn.Linear(1, 1))


def test_the_trainer_takes_it(tiny_config, tiny_dataset, tmp_path, catalog):
    options = ["DATASETS.TEST", "()", "OUTPUT_DIR", tmp_path, "SOLVER.OPTIMIZER", "Adam"]
    cfg = tiny_config(*tiny_dataset.options("optimizer"), *options)
    register_from_config(cfg)
    assert isinstance(Trainer(cfg)._trainer.optimizer, torch.optim.Adam)


def test_adamw_makes_pytorchs_steps_and_spares_norms_the_decay():
    torch.manual_seed(0)
    ours, reference = (nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(4)) for _ in range(2))
    reference.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(config("AdamW"), ours)
    groups = [
        {"params": list(reference[0].parameters()), "weight_decay": 0.02},
        {"params": list(reference[1].parameters()), "weight_decay": 0.0},
    ]
    expected = torch.optim.AdamW(groups, lr=0.003)
    for seed in range(3):
        for network, stepper in ((ours, optimizer), (reference, expected)):
            torch.manual_seed(seed)
            stepper.zero_grad()
            network[1](network[0](torch.randn(2, 3, 5, 5)).movedim(1, 3)).pow(3).sum().backward()
            stepper.step()
    for here, there in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(here, there)
