"""Normalisation layers: a choice for each device, checks before training, folding after it."""

from __future__ import annotations

import logging
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, CycleBatchNormList, FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

logger = logging.getLogger(__name__)

_SYNCHRONISED = ("SyncBN", "nnSyncBN")
# Detectron2 builds one norm per level for this head, and only "BN" and "SyncBN".
_SHARED_HEAD = "MODEL.RETINANET.NORM"


def norms_for_device(cfg: CfgNode) -> CfgNode:
    """The config with normalisation layers that MODEL.DEVICE can train.

    PyTorch's SyncBatchNorm runs on GPUs only. On a CPU it is replaced by Detectron2's own version,
    which also synchronises several processes and is plain BatchNorm in a single one. In RetinaNet's
    head, which all levels share but with separate statistics for each, it is replaced by BatchNorm.
    The weights of all of them are interchangeable.
    """
    if torch.device(cfg.MODEL.DEVICE).type != "cpu":
        return cfg
    keys = _keys_with(cfg.MODEL, _SYNCHRONISED, "MODEL")
    if not keys:
        return cfg
    names = {key: "BN" if key == _SHARED_HEAD else "naiveSyncBN" for key in keys}
    logger.info(
        "PyTorch's SyncBN needs GPUs; on this CPU another norm takes its place (in one process "
        "naiveSyncBN is plain BatchNorm): %s",
        ", ".join(f"{key} {name}" for key, name in names.items()),
    )
    changed = cfg.clone()
    changed.defrost()
    changed.merge_from_list([word for pair in names.items() for word in pair])
    return changed


def _keys_with(node: CfgNode, values: tuple[str, ...], name: str) -> list[str]:
    """Names of the NORM keys below ``node`` whose value is among ``values``."""
    keys = []
    for key, value in node.items():
        if isinstance(value, CfgNode):
            keys += _keys_with(value, values, f"{name}.{key}")
        elif key == "NORM" and value in values:
            keys.append(f"{name}.{key}")
    return keys


def begin_at_the_first_level(head: nn.Module) -> None:
    """Resets norms that cycle through the levels each time ``head`` runs.

    Detectron2's own norms keep counting. After a pass that stopped midway, for example out of
    memory, each level would use the statistics of another one.
    """
    norms = [module for module in head.modules() if isinstance(module, CycleBatchNormList)]

    def begin(_module: nn.Module, _inputs: Any) -> None:
        for norm in norms:
            norm._pos = 0

    if norms:
        head.register_forward_pre_hook(begin)


def check_from_scratch(model: nn.Module, weights: str) -> None:
    """Refuses to train a model with frozen layers from random weights.

    Args:
        model: the model to be trained.
        weights: MODEL.WEIGHTS, from which training starts.

    Raises:
        ValueError: there are no weights, and a layer is frozen.
    """
    if weights:
        return
    rule = 'MODEL.WEIGHTS is "", so training starts from random numbers'
    if any(isinstance(module, FrozenBatchNorm2d) for module in model.modules()):
        raise ValueError(
            f"{rule}, and FrozenBN would pass its input on without normalising it. Take "
            "GN, BN or SyncBN for MODEL.RESNETS.NORM and MODEL.FPN.NORM (and "
            "MODEL.BACKBONE.FREEZE_AT 0), or give weights"
        )
    frozen = [name for name, weight in model.named_parameters() if not weight.requires_grad]
    if frozen:
        raise ValueError(
            f"{rule}, and {len(frozen)} frozen tensors would stay random, such as {frozen[0]}. Set "
            "MODEL.BACKBONE.FREEZE_AT 0, or give weights"
        )


def fold_batch_norm(model: nn.Module) -> None:
    """Folds each BatchNorm, frozen or not, into the Detectron2 convolution that it belongs to.

    For a model that won't be trained any more. Its results stay the same up to rounding.
    """
    for module in model.modules():
        norm = getattr(module, "norm", None)
        if isinstance(module, Conv2d) and isinstance(norm, _BatchNorm | FrozenBatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            module.weight, module.bias = fuse_conv_bn_weights(
                module.weight,
                module.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            module.norm = None
