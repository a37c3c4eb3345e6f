"""Training for a given time, with the full learning rate schedule spread over that time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.solver import LRMultiplier
from detectron2.utils import comm
from fvcore.common.param_scheduler import ParamScheduler

from smallobj.checks import check_choice, check_not_negative

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class BudgetSpent(BaseException):
    """Ends the training loop. Not an Exception, which Detectron2 would log as an error."""


class TimeBudget(HookBase):
    """Measures the time of all steps, saves checkpoints regularly, and ends the training.

    The time continues to count when a run is resumed.

    Attributes:
        spent: seconds so far; with several processes, those of the slowest.
    """

    # Checkpoints to resume from, spread evenly over the time.
    CHECKPOINTS = 20
    # More steps than any training has; Detectron2 needs an integer.
    NO_ITERATION = 10**9

    def __init__(self, seconds: float, clock: str, checkpointer: DetectionCheckpointer) -> None:
        """
        Args:
            seconds: SOLVER.MAX_SECONDS.
            clock: SOLVER.CLOCK.
            checkpointer: saves model_final and the checkpoints to resume from.

        Raises:
            ValueError: a negative time, or an unknown clock.
        """
        check_not_negative("SOLVER.MAX_SECONDS", seconds)
        check_choice("SOLVER.CLOCK", clock, CLOCKS)
        self.seconds = seconds
        self.spent = 0.0
        self._clock = CLOCKS[clock]
        self._checkpointer = checkpointer
        self._start = 0.0

    @classmethod
    def of(cls, cfg: CfgNode, checkpointer: DetectionCheckpointer) -> TimeBudget | None:
        """The budget that a config sets, or None if SOLVER.MAX_SECONDS is 0."""
        node = cfg.SOLVER
        return cls(node.MAX_SECONDS, node.CLOCK, checkpointer) if node.MAX_SECONDS else None

    @property
    def share(self) -> float:
        """The share of the time that is spent, in [0, 1]."""
        return min(self.spent / self.seconds, 1.0)

    def lead(self, schedule: LRMultiplier) -> None:
        """Makes a schedule follow the time instead of the iterations."""
        schedule._multiplier = _ShareOfTime(schedule._multiplier, self)

    def before_step(self) -> None:
        if self.spent >= self.seconds:
            # The hooks then see the same numbers as after the last iteration of a normal loop, and
            # the iteration saved is that of the last step done.
            self.trainer.iter -= 1
            self.trainer.max_iter = self.trainer.iter + 1
            raise BudgetSpent
        self._start = self._clock()

    def after_step(self) -> None:
        own = self.spent + self._clock() - self._start
        before = self.share
        # All processes must stop after the same step and use the same learning rate.
        self.spent = max(comm.all_gather(own))
        self.trainer.storage.put_scalar("time/spent_seconds", self.spent, smoothing_hint=False)
        number = int(self.share * self.CHECKPOINTS)
        # None at the end, where model_final is saved.
        due = self.CHECKPOINTS > number > int(before * self.CHECKPOINTS)
        if due and comm.is_main_process():
            # Alternates between two files: if saving one is interrupted, the other is complete.
            self._checkpointer.save(f"model_resume_{number % 2}", iteration=self.trainer.iter)

    def after_train(self) -> None:
        if self.spent >= self.seconds and comm.is_main_process():
            self._checkpointer.save("model_final", iteration=self.trainer.iter)

    def state_dict(self) -> dict[str, Any]:
        return {"spent": self.spent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.spent = float(state["spent"])


class _ShareOfTime(ParamScheduler):
    """A schedule that follows the share of time spent instead of the share of iterations."""

    def __init__(self, schedule: ParamScheduler, budget: TimeBudget) -> None:
        self.schedule = schedule
        self.budget = budget

    def __call__(self, where: float) -> float:
        return float(self.schedule(self.budget.share))
