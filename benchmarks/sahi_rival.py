"""SAHI's sliced inference with a Detectron2 model, as SAHI itself would run that model.

SAHI's loader reads a config with Detectron2's ``get_cfg`` and unpickles weights, so it supports
neither this project's keys nor safetensors. Here SAHI's wrapper class is given a ready predictor
instead. Everything else is SAHI's code with SAHI's defaults: slicing, one slice at a time, an
additional pass over the whole image, and postprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.engine import DefaultPredictor
from detectron2.structures import Boxes, Instances
from torch import nn

from benchmarks.rival_packages import import_rival


class ReadyPredictor(DefaultPredictor):
    """Detectron2's predictor with a model that is already built and loaded."""

    def __init__(self, cfg: CfgNode, model: nn.Module, shortest: int, longest: int) -> None:
        """
        Args:
            cfg: INPUT.FORMAT is read.
            model: detector in evaluation mode.
            shortest, longest: INPUT.MIN_SIZE_TEST and INPUT.MAX_SIZE_TEST; 0: no resizing.
        """
        # The base's __init__ is not called: it would build the model and unpickle its weights.
        self.cfg = cfg
        self.model = model
        self.aug = T.ResizeShortestEdge([shortest, shortest], longest)
        self.input_format = cfg.INPUT.FORMAT


class SahiRival:
    """``sahi.predict.get_sliced_prediction``.

    Attributes:
        detector: the Detectron2 model inside.
    """

    def __init__(
        self,
        predictor: ReadyPredictor,
        class_names: Sequence[str],
        *,
        tile: int,
        overlap: float,
        threshold: float,
        is_greedy: bool = False,
        is_slices_alone: bool = False,
    ) -> None:
        """
        Args:
            predictor: runs one slice; its ``aug`` resizes the slice for the model.
            class_names: in the order of pred_classes.
            tile: side of a slice, pixels.
            overlap: of neighbouring slices, as a share of their side.
            threshold: lowest score of detections. Below 0.1 SAHI uses NMS (IoU 0.5) instead of
                its default GREEDYNMM (IoS 0.5).
            is_greedy: use GREEDYNMM in any case.
            is_slices_alone: no pass over the whole image, which SAHI adds by default.

        Raises:
            RivalUnavailable: SAHI is not installed.
        """
        self._sliced = import_rival("sahi.predict").get_sliced_prediction
        auto_model = import_rival("sahi").AutoDetectionModel
        self.detector: nn.Module = predictor.model
        names = {str(index): name for index, name in enumerate(class_names)}
        self._wrapper = auto_model.from_pretrained(
            "detectron2",
            device=str(next(predictor.model.parameters()).device),
            confidence_threshold=threshold,
            category_mapping=names,
            load_at_init=False,
        )
        # These are what the wrapper's load_model() would set.
        self._wrapper.model = predictor
        self._wrapper.category_names = list(names.values())
        self._options = {
            "slice_height": tile,
            "slice_width": tile,
            "overlap_height_ratio": overlap,
            "overlap_width_ratio": overlap,
            "force_postprocess_type": is_greedy,
            "perform_standard_pred": not is_slices_alone,
            "verbose": 0,
        }

    def detect_files(self, paths: Sequence[str]) -> Iterator[Any]:
        """SAHI's result for each image file."""
        for path in paths:
            yield self._sliced(path, self._wrapper, **self._options)

    def detect_arrays(self, images: Sequence[np.ndarray]) -> Iterator[Any]:
        """SAHI's result for each (H, W, 3) uint8 RGB array, SAHI's channel order."""
        yield from self.detect_files(images)  # type: ignore[arg-type]  # a path or an array

    @staticmethod
    def prepare(image: np.ndarray) -> np.ndarray:
        """Converts BGR to RGB."""
        return np.ascontiguousarray(image[:, :, ::-1])

    @staticmethod
    def instances(result: Any, size: tuple[int, int]) -> Instances:
        """A result as Instances in image pixels, by decreasing score; ``size`` is (h, w)."""
        predictions = sorted(
            result.object_prediction_list, key=lambda prediction: -prediction.score.value
        )
        instances = Instances(size)
        boxes = [prediction.bbox.to_xyxy() for prediction in predictions]
        instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        instances.scores = torch.tensor([prediction.score.value for prediction in predictions])
        instances.pred_classes = torch.tensor(
            [prediction.category.id for prediction in predictions]
        ).long()
        return instances
