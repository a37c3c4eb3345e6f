"""The device that a config names, if this machine has it."""

from __future__ import annotations

import logging

import torch
from detectron2.config import CfgNode

_logger = logging.getLogger(__name__)


def on_available_device(cfg: CfgNode) -> CfgNode:
    """The config, or a copy with MODEL.DEVICE cpu if it names a GPU and PyTorch finds none.

    Shipped configs have Detectron2's default, cuda; the fallback is logged.
    """
    device = cfg.MODEL.DEVICE
    if torch.device(device).type != "cuda" or torch.cuda.is_available():
        return cfg
    _logger.warning("MODEL.DEVICE is %s, but PyTorch finds no GPU: running on the CPU", device)
    was_frozen = cfg.is_frozen()
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    if was_frozen:
        cfg.freeze()
    return cfg
