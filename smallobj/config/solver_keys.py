"""Keys of the optimiser."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_solver_keys(cfg: CfgNode) -> None:
    # "SGD", with Detectron2's keys for it, or "AdamW" (arXiv 1711.05101), which takes BASE_LR and
    # WEIGHT_DECAY alone. Transformers and ConvNeXts hardly learn with SGD.
    cfg.SOLVER.OPTIMIZER = "SGD"
