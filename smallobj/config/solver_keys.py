"""Keys of the optimiser."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_solver_keys(cfg: CfgNode) -> None:
    # "SGD", with Detectron2's keys for it; "AdamW" (arXiv 1711.05101) or "Adam" (arXiv 1412.6980),
    # which take BASE_LR and WEIGHT_DECAY alone. Transformers and ConvNeXts hardly learn with SGD.
    cfg.SOLVER.OPTIMIZER = "SGD"
