"""Keys of the optimiser and of the length of a training: SOLVER."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_solver_keys(cfg: CfgNode) -> None:
    """Adds SOLVER.*."""
    # "SGD", with Detectron2's keys for it; "AdamW" (arXiv 1711.05101) or "Adam" (arXiv 1412.6980),
    # which take BASE_LR and WEIGHT_DECAY alone. Transformers and ConvNeXts hardly learn with SGD.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Training ends after so many seconds of steps (reading the data included, evaluations and
    # checkpoints left out); 0: after SOLVER.MAX_ITER steps. With a limit the learning rate follows
    # the share of the time that is spent, and WARMUP_ITERS and STEPS are shares of MAX_ITER, which
    # limits nothing.
    cfg.SOLVER.MAX_SECONDS = 0
    # What those seconds are: "wall", or "cpu", processor time of all threads of the process, which
    # other programs on the machine change little. Processes that read data (DATALOADER.NUM_WORKERS)
    # are not in it.
    cfg.SOLVER.CLOCK = "wall"
