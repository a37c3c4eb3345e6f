"""Keys of the optimiser and of the length of training: SOLVER."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_solver_keys(cfg: CfgNode) -> None:
    """Adds SOLVER.*."""
    # Optimiser: "SGD", with all of Detectron2's keys for it; "AdamW" (arXiv 1711.05101) or "Adam"
    # (arXiv 1412.6980), which use BASE_LR and WEIGHT_DECAY only. Transformers and ConvNeXts hardly
    # learn with SGD.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Time limit of training in seconds. It counts training steps with their data loading, but not
    # evaluations and checkpoints. 0: no time limit; training ends after SOLVER.MAX_ITER steps. With
    # a limit, the learning rate follows the share of the time that has passed: WARMUP_ITERS and
    # STEPS count as shares of MAX_ITER, and MAX_ITER limits nothing.
    cfg.SOLVER.MAX_SECONDS = 0
    # Clock of MAX_SECONDS: "wall" time, or "cpu", the processor time of all threads of this
    # process, which depends little on other programs on the machine. The processes that load data
    # (DATALOADER.NUM_WORKERS) don't count.
    cfg.SOLVER.CLOCK = "wall"
