"""Hooks of a training run: best checkpoint, pictures of detections, memory use."""

from __future__ import annotations

import logging
import math
import os
import resource

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine import HookBase
from detectron2.evaluation import inference_context
from detectron2.evaluation.testing import flatten_results_dict
from torch import nn

from smallobj.checkpoint import read_checkpoint
from smallobj.checkpoint.class_rows import names_entry
from smallobj.data.build import build_test_mapper
from smallobj.data.class_map import ClassMap
from smallobj.data.datasets import class_names
from smallobj.geometry.regions import choose_regions
from smallobj.images.pixels import PixelConversion
from smallobj.inference import wrap_for_test
from smallobj.results.comparison import draw_comparison
from smallobj.results.focus_picture import draw_focus
from smallobj.whole_file import whole_path

logger = logging.getLogger(__name__)


def _is_due(hook: HookBase, period: int) -> bool:
    done = hook.trainer.iter + 1
    return done >= hook.trainer.max_iter or (period > 0 and done % period == 0)


class BestCheckpoint(HookBase):
    """Saves the model with the best validation metric as model_best.pth.

    Detectron2's BestCheckpointer also marks this file as the last checkpoint, so that --resume
    would continue from it, and loses the best value when a run is resumed. After the first
    evaluation without that metric it is said why no file is written.
    """

    FILE = "model_best.pth"

    def __init__(self, period: int, checkpointer: DetectionCheckpointer, metric: str) -> None:
        self.period = period
        self.checkpointer = checkpointer
        self.metric = metric
        self.best = -math.inf
        self.seen_iteration = -1
        self.told = False

    @property
    def path(self) -> str:
        return os.path.join(self.checkpointer.save_dir, self.FILE)

    def before_train(self) -> None:
        if self.trainer.start_iter > 0 and os.path.isfile(self.path):
            self.best = read_checkpoint(self.path).get("metric", -math.inf)

    def after_step(self) -> None:
        # The evaluation after the last step is still to come.
        is_last = self.trainer.iter + 1 == self.trainer.max_iter
        if self.period > 0 and _is_due(self, self.period) and not is_last:
            self._compare()

    def after_train(self) -> None:
        # The last evaluation runs after the last step.
        self._compare()

    def _compare(self) -> None:
        value, iteration = self.trainer.storage.latest().get(self.metric, (math.nan, -1))
        if math.isnan(value):
            self._tell_why_not()
        if math.isnan(value) or iteration == self.seen_iteration:
            return
        self.seen_iteration = iteration
        if value > self.best:
            self.best = value
            model = self.checkpointer.model
            state = {
                "model": model.state_dict(),
                "metric": float(value),
                "iteration": int(iteration),
                **names_entry(model),
            }
            with whole_path(self.path) as path:
                torch.save(state, path)
            logger.info("%s %.2f is the best so far; saved %s", self.metric, value, self.FILE)

    def _tell_why_not(self) -> None:
        results = getattr(self.trainer, "_last_eval_results", None)  # Detectron2 keeps them there
        if self.told or results is None or not self.metric or self.best > -math.inf:
            return
        self.told = True
        figures = flatten_results_dict(results)
        if self.metric in figures:
            reason = f"{self.metric} is not a number, as where no label counts"
        elif figures:
            reason = f"the evaluation gave no {self.metric}, but {', '.join(sorted(figures)[:12])}"
        else:
            reason = "the evaluation gave no figures, as where a dataset has no labels"
        logger.warning(f"{self.FILE} is not written: {reason}")


class DetectionImages(HookBase):
    """Draws validation images for TensorBoard.

    Ground truth beside predictions, or the regions that a focus network chooses.
    """

    def __init__(self, cfg: CfgNode, period: int, model: nn.Module) -> None:
        self.cfg = cfg
        self.period = period
        self.model = model
        self.conversion = PixelConversion.from_config(cfg)
        self.samples: list[dict] | None = None

    def after_step(self) -> None:
        if self.cfg.TEST.VIS_IMAGES > 0 and self.cfg.DATASETS.TEST and _is_due(self, self.period):
            self._draw()

    def _draw(self) -> None:
        if self.samples is None:
            dataset = DatasetCatalog.get(self.cfg.DATASETS.TEST[0])
            stride = max(len(dataset) // self.cfg.TEST.VIS_IMAGES, 1)
            self.samples = dataset[::stride][: self.cfg.TEST.VIS_IMAGES]
        mapper = build_test_mapper(self.cfg)
        model = wrap_for_test(self.cfg, self.model)
        for index, sample in enumerate(self.samples):
            item = mapper(sample)
            if "broken" in item:
                continue  # the evaluation has named it
            with inference_context(model), torch.no_grad():
                output = model([item])[0]
            picture = self._picture(sample, output)
            name = f"validation/{index}_{os.path.basename(sample['file_name'])}"
            self.trainer.storage.put_image(name, picture[:, :, ::-1].transpose(2, 0, 1).copy())

    def _picture(self, sample: dict, output: dict) -> np.ndarray:
        if "focus" in output:
            return self._focus_picture(sample, output)
        names = class_names(self.cfg.DATASETS.TEST[0])
        by_name = ClassMap(list(self.cfg.MODEL.CLASS_NAMES) or names, names)
        instances = by_name(output["instances"].to("cpu"))
        shown = instances[instances.scores >= self.cfg.TEST.VIS_SCORE_THRESH]
        return draw_comparison(sample, shown, names, conversion=self.conversion)

    def _focus_picture(self, sample: dict, output: dict) -> np.ndarray:
        node = self.cfg.TEST.FOCUS
        heat, stride = output["focus"].cpu().numpy(), output["stride"]
        regions = choose_regions(
            heat,
            output["side"].cpu().numpy(),
            stride,
            (sample["height"], sample["width"]),
            threshold=node.HEAT_THRESH,
            windows=node.WINDOWS,
            margins=node.MARGINS,
            max_area=node.MAX_AREA,
        )
        return draw_focus(sample, heat, stride, regions, self.conversion)


class BrokenImagesSummary(HookBase):
    """Logs at the end which training images couldn't be read."""

    def after_train(self) -> None:
        # A trainer may be given any other loader.
        broken = getattr(self.trainer.data_loader, "broken", None)
        if broken is not None and broken.paths():
            logger.warning(broken.summary())


class MemoryMonitor(HookBase):
    """Logs the peak memory of this process and, with CUDA, of the GPU, in MiB."""

    def after_step(self) -> None:
        # Linux counts ru_maxrss in KiB.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.trainer.storage.put_scalar("memory/process_peak_mib", peak, smoothing_hint=False)
        if torch.cuda.is_available():
            gpu = torch.cuda.max_memory_allocated() / 2**20
            self.trainer.storage.put_scalar("memory/gpu_peak_mib", gpu, smoothing_hint=False)
