"""Builds the optimiser that SOLVER.OPTIMIZER names."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.solver import build_optimizer as build_detectron2_optimizer
from detectron2.solver import get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from torch import nn

from smallobj.checks import check_choice

OPTIMIZERS = ("SGD", "Adam", "AdamW")


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Builds the optimiser for a model's parameters.

    Raises:
        ValueError: SOLVER.OPTIMIZER is unknown.
    """
    node = cfg.SOLVER
    check_choice("SOLVER.OPTIMIZER", node.OPTIMIZER, OPTIMIZERS)
    if node.OPTIMIZER == "SGD":
        return build_detectron2_optimizer(cfg, model)
    parameters = get_default_optimizer_params(
        model,
        base_lr=node.BASE_LR,
        weight_decay_norm=node.WEIGHT_DECAY_NORM,
        bias_lr_factor=node.BIAS_LR_FACTOR,
        weight_decay_bias=node.WEIGHT_DECAY_BIAS,
    )
    optimizer = maybe_add_gradient_clipping(cfg, getattr(torch.optim, node.OPTIMIZER))
    # Fused: one pass over each weight instead of ten, on CPUs and on GPUs.
    return optimizer(parameters, lr=node.BASE_LR, weight_decay=node.WEIGHT_DECAY, fused=True)
