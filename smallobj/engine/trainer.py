"""Detectron2's DefaultTrainer with this project's data, models, evaluation and hooks."""

from __future__ import annotations

import logging
import os
import re
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine import AMPTrainer, DefaultTrainer, HookBase
from detectron2.engine.defaults import default_writers
from detectron2.evaluation import DatasetEvaluators
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from torch import nn

from smallobj.checkpoint import SafeCheckpointer
from smallobj.data.build import build_test_loader, build_train_loader
from smallobj.engine.evaluation_pictures import put_evaluation_pictures
from smallobj.engine.evaluation_summary import log_summaries
from smallobj.engine.hooks import (
    BestCheckpoint,
    BrokenImagesSummary,
    DetectionImages,
    MemoryMonitor,
)
from smallobj.engine.optimizer import build_optimizer
from smallobj.engine.progress import ProgressLine
from smallobj.engine.stop_request import (
    Interruptible,
    StopOnRequest,
    Stopped,
    StopRequest,
    say_that_it_stops,
)
from smallobj.engine.time_budget import BudgetSpent, TimeBudget
from smallobj.evaluation.evaluators.registry import (
    build_evaluator,
    headline_of,
    headlines,
    needs_labels,
)
from smallobj.inference import wrap_for_test
from smallobj.inference.broken_images import WithoutBroken
from smallobj.inference.cuts import sum_cuts, take_cuts
from smallobj.modeling import build_model
from smallobj.modeling.device import on_available_device
from smallobj.modeling.norms import check_from_scratch
from smallobj.modeling.precision import (
    precision_at_test,
    precision_in_training,
    warn_of_emulation,
)

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """Trains on tiles and validates on whole images, with the same inference code as the demo."""

    def __init__(self, cfg: CfgNode) -> None:
        """
        Raises:
            ValueError: SOLVER.AMP.ENABLED without a GPU, or a wrong value of another key.
        """
        cfg = on_available_device(cfg)
        _check_amp(cfg)
        _tell_precision(cfg)
        super().__init__(cfg)

    def build_hooks(self) -> list[HookBase | None]:
        check_from_scratch(self.model, self.cfg.MODEL.WEIGHTS)
        # Set here, since the base class would give its own checkpointer, which unpickles, to hooks.
        self.checkpointer = SafeCheckpointer(
            self.model,
            self.cfg.OUTPUT_DIR,
            trainer=weakref.proxy(self),
            parts=self.cfg.MODEL.WEIGHTS_PARTS,
        )
        # Built to find errors in the keys of TEST now, not at the first evaluation.
        wrap_for_test(self.cfg, self.model)
        for name in self.cfg.DATASETS.TEST:
            self.build_evaluator(self.cfg, name)
        budget = TimeBudget.of(self.cfg, self.checkpointer)
        if budget is not None:
            self.max_iter = budget.NO_ITERATION
            budget.lead(self.scheduler)
        # First, so that the after_step of the other hooks is not counted.
        hooks = [budget, *super().build_hooks()]
        if comm.is_main_process():
            tell_no_best(self.cfg)
            period = self.cfg.TEST.EVAL_PERIOD
            # Before the last hook, which writes what the others put into the event storage.
            hooks[-1:-1] = [
                BestCheckpoint(period, self.checkpointer, best_metric(self.cfg)),
                DetectionImages(self.cfg, period, self.model),
                MemoryMonitor(),
            ]
        return [*hooks, BrokenImagesSummary(), StopOnRequest()]

    def build_writers(self) -> list[EventWriter]:
        # With a time limit the last iteration is not known in advance.
        last = None if self.max_iter == TimeBudget.NO_ITERATION else self.max_iter
        line = ProgressLine(last, self.cfg.SOLVER.MAX_SECONDS)
        return [line, *default_writers(self.cfg.OUTPUT_DIR, last)]

    def train(self) -> dict[str, Any] | None:
        """As in Detectron2; Ctrl-C and SIGTERM end it after the iteration, with a checkpoint.

        Raises:
            Stopped: it was stopped by a signal.
            ValueError: a loss is not finite.
        """
        with StopRequest(say_that_it_stops):
            try:
                return super().train()
            except BudgetSpent:
                return getattr(self, "_last_eval_results", None)
            except Stopped:
                self._save_stopped()
                raise

    def _save_stopped(self) -> None:
        """Saves what a periodic checkpoint of the last step would hold."""
        name = f"model_{self.iter:07d}"
        saved = os.path.basename(self.checkpointer.get_checkpoint_file())
        done = self.iter >= self.max_iter or saved == f"{name}.pth"
        if comm.is_main_process() and not done:
            self.checkpointer.save(name, iteration=self.iter)

    def run_step(self) -> None:
        try:
            super().run_step()
        except FloatingPointError as error:
            raise ValueError(self._diverged(str(error))) from error

    def _diverged(self, reported: str) -> str:
        """The sentence about losses that are not finite, from Detectron2's message."""
        losses = re.findall(r"'(\w+)': (?:\w+\.\w+\()?(nan|-?inf)", reported)
        which = ", ".join(f"{name} is {value}" for name, value in losses)
        which = which or reported.splitlines()[0].rstrip(".")
        solver = self.cfg.SOLVER
        tries = [
            f"a lower SOLVER.BASE_LR (now {solver.BASE_LR:g})",
            f"a longer SOLVER.WARMUP_ITERS (now {solver.WARMUP_ITERS})",
        ]
        if not solver.CLIP_GRADIENTS.ENABLED:
            tries.append("SOLVER.CLIP_GRADIENTS.ENABLED True")
        saved = os.path.basename(self.checkpointer.get_checkpoint_file())
        last = f"; --resume continues from {saved}" if saved else ""
        told = f"the training has diverged at iteration {self.iter}: {which}"
        return f"{told}. Try {' or '.join(tries)}{last}"

    def state_dict(self) -> dict[str, Any]:
        # Detectron2 0.6 omits the optimiser, so a resumed run would start without momentum.
        return {**super().state_dict(), "_trainer": self._trainer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(self._trainer, AMPTrainer) and "_trainer" in state_dict:
            # A checkpoint of a run without SOLVER.AMP.ENABLED has no state of a gradient scaler.
            fresh = {"grad_scaler": self._trainer.grad_scaler.state_dict()}
            state_dict = {**state_dict, "_trainer": {**fresh, **state_dict["_trainer"]}}
        super().load_state_dict(state_dict)
        if "_trainer" in state_dict:
            self._trainer.load_state_dict(state_dict["_trainer"])

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        return build_model(cfg)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[list[dict[str, Any]]]:
        return build_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable[list[dict[str, Any]]]:
        return Interruptible(build_test_loader(cfg, dataset_name))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluators:
        output = os.path.join(cfg.OUTPUT_DIR, "inference", dataset_name)
        watch = partial(put_evaluation_pictures, dataset_name) if cfg.TEST.VIS_IMAGES else None
        return build_evaluator(cfg, dataset_name, output, watch)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: Any = None) -> dict[str, Any]:
        detector = wrap_for_test(cfg, model)
        results = super().test(cfg, WithoutBroken(detector), evaluators)
        gathered = comm.gather(take_cuts(detector), dst=0)
        for cut in sum_cuts(cut for cuts in gathered for cut in cuts):
            logger.warning("in %s: %s", ", ".join(cfg.DATASETS.TEST), cut)
        log_summaries(cfg.DATASETS.TEST, results, headline_of(cfg.TEST.METRICS))
        return results


def _tell_precision(cfg: CfgNode) -> None:
    """Logs the backbone's precision, and warns of types that this machine only emulates."""
    training, device = precision_in_training(cfg), cfg.MODEL.DEVICE
    name = str(training).removeprefix("torch.")
    logger.info("the backbone trains in %s (MODEL.BACKBONE.PRECISION)", name)
    warn_of_emulation("MODEL.BACKBONE.PRECISION", training, device)
    if cfg.DATASETS.TEST:
        warn_of_emulation("TEST.PRECISION", precision_at_test(cfg), device)


def _check_amp(cfg: CfgNode) -> None:
    device = torch.device(cfg.MODEL.DEVICE).type
    if cfg.SOLVER.AMP.ENABLED and device != "cuda":
        raise ValueError(
            "SOLVER.AMP.ENABLED trains in float16 with scaled gradients, and needs a GPU; got "
            f"MODEL.DEVICE {device}. There set MODEL.BACKBONE.PRECISION auto instead"
        )


def best_metric(cfg: CfgNode) -> str:
    """Name of the metric in the event storage that selects the best checkpoint.

    It is mAP50, or for a focus network the share of the area that need not be read.
    """
    metric = headline_of(cfg.TEST.METRICS)
    if metric is None or not cfg.DATASETS.TEST:
        return ""  # not in the storage, so no checkpoint is saved as the best
    # With several test sets Detectron2 prefixes the name of the set; the first one decides.
    return metric if len(cfg.DATASETS.TEST) < 2 else f"{cfg.DATASETS.TEST[0]}/{metric}"


def tell_no_best(cfg: CfgNode) -> None:
    """Says at the start why no checkpoint can be chosen as the best one, where that is known."""
    metric = headline_of(cfg.TEST.METRICS)
    if not cfg.DATASETS.TEST:
        logger.info(f"no {BestCheckpoint.FILE}: DATASETS.TEST names no dataset to validate on")
        return
    if metric is None:
        reason = (
            f"none of TEST.METRICS {list(cfg.TEST.METRICS)} chooses the best checkpoint; these do: "
            f"{', '.join(headlines())}"
        )
    elif needs_labels(metric) and not _has_objects(cfg.DATASETS.TEST[0]):
        which = "the first of DATASETS.TEST" if len(cfg.DATASETS.TEST) > 1 else "DATASETS.TEST"
        reason = f"{cfg.DATASETS.TEST[0]}, {which}, has no labelled object for {metric}"
    else:
        return
    logger.warning(f"no best checkpoint ({BestCheckpoint.FILE}) will be chosen: {reason}")


def _has_objects(name: str) -> bool:
    labels = (
        label for record in DatasetCatalog.get(name) for label in record.get("annotations", ())
    )
    return any(not label.get("iscrowd", 0) for label in labels)
