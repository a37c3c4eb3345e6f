"""Optimisers by name."""

import pytest
import torch
from torch import nn

from smallobj import get_cfg
from smallobj.engine.optimizer import build_optimizer


def model():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(4))


def build(network, *options):
    cfg = get_cfg()
    cfg.merge_from_list(["SOLVER.BASE_LR", 0.5, "SOLVER.WEIGHT_DECAY", 0.25, *options])
    return build_optimizer(cfg, network)


def test_sgd_is_detectron2s():
    optimizer = build(model())
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["momentum"] == 0.9


def test_adamw_makes_pytorchs_steps_and_spares_norms_the_decay():
    torch.manual_seed(0)
    ours, reference = model(), model()
    reference.load_state_dict(ours.state_dict())
    optimizer = build(ours, "SOLVER.OPTIMIZER", "AdamW")
    expected = torch.optim.AdamW(
        [
            {"params": list(reference[0].parameters()), "weight_decay": 0.25},
            {"params": list(reference[1].parameters()), "weight_decay": 0.0},
        ],
        lr=0.5,
    )
    for seed in range(3):
        for network, stepper in ((ours, optimizer), (reference, expected)):
            torch.manual_seed(seed)
            stepper.zero_grad()
            network[1](network[0](torch.randn(2, 3, 5, 5)).movedim(1, 3)).pow(3).sum().backward()
            stepper.step()
    for here, there in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(here, there)


def test_gradients_are_clipped_for_adamw_too():
    clip = ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norm")
    optimizer = build(
        model(), "SOLVER.OPTIMIZER", "AdamW", *clip, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.1
    )
    weight = optimizer.param_groups[0]["params"][0]
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert weight.grad.norm().item() == pytest.approx(0.1, rel=1e-4)


def test_another_name_is_told():
    with pytest.raises(ValueError, match=r"SOLVER.OPTIMIZER must be one of .*AdamW.*got 'Lion'"):
        build(model(), "SOLVER.OPTIMIZER", "Lion")
