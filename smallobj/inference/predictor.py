"""Photographs in, their detections out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import Metadata
from detectron2.engine import DefaultPredictor
from detectron2.structures import Instances

from smallobj.checkpoint import load_weights
from smallobj.data.build import image_tensor, resize_at_test
from smallobj.data.image_file import read_image
from smallobj.data.prefetch import map_ahead
from smallobj.inference.tiled import TiledDetector, wrap_for_test
from smallobj.modeling import build_model

Item = dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """What became of one image file.

    Attributes:
        path: as it was given.
        image: (H, W, 3) uint8, BGR; None where the file can't be read.
        instances: in the image's pixels, by falling score; None where the file can't be read.
        error: a sentence that says why, else "".
    """

    path: str
    image: np.ndarray | None = None
    instances: Instances | None = None
    error: str = ""


class SmallObjectPredictor(DefaultPredictor):
    """Detectron2's predictor with tiles and with safe weights; what validation runs.

    Attributes:
        model: the detector, tiled if TEST.TILE.ENABLED.
        class_names: names of the classes, in the order of pred_classes.
    """

    def __init__(self, cfg: CfgNode) -> None:
        """
        Raises:
            ValueError: weights that don't fit the config, or are unsafe to read.
            FileNotFoundError: there is no file at MODEL.WEIGHTS.
        """
        # Not the base's __init__, which would unpickle the weights.
        self.cfg = cfg.clone()
        detector = build_model(self.cfg)
        load_weights(detector, cfg.MODEL.WEIGHTS)
        self.model = wrap_for_test(self.cfg, detector.eval())
        self.aug = resize_at_test(self.cfg)
        self.input_format = cfg.INPUT.FORMAT
        self.class_names = list(cfg.MODEL.CLASS_NAMES) or [
            f"class {index}" for index in range(cfg.MODEL.ROI_HEADS.NUM_CLASSES)
        ]
        self.metadata = Metadata(thing_classes=self.class_names)

    @torch.no_grad()
    def __call__(self, original_image: np.ndarray) -> dict[str, Instances]:
        """
        Args:
            original_image: (H, W, 3) uint8, BGR.

        Returns:
            {"instances": Instances} in the image's pixels, by falling score.
        """
        return self.model([self._item(original_image)])[0]

    def stream(self, paths: Iterable[str]) -> Iterator[Prediction]:
        """Detects in image files, the next ones being decoded while the model computes.

        Args:
            paths: image files, taken a few ahead of the results.

        Yields:
            A prediction for each, in order; a broken file gives one with an error.
        """
        opened: deque[Prediction] = deque()

        def items() -> Iterator[Item]:
            for prediction in map_ahead(_open, paths, _decoders(), _decoders() + 1):
                opened.append(prediction)
                if prediction.image is not None:
                    yield self._item(prediction.image)

        for output in self._detect(items()):
            while opened[0].error:
                yield opened.popleft()
            done = opened.popleft()
            yield Prediction(done.path, done.image, output["instances"])
        yield from opened

    def _detect(self, items: Iterable[Item]) -> Iterator[Item]:
        if isinstance(self.model, TiledDetector):
            yield from self.model.stream(items)
            return
        for item in items:
            with torch.no_grad():
                outputs = self.model([item])
            yield outputs[0]

    def _item(self, image: np.ndarray) -> Item:
        pixels = image_tensor(image, self.aug, self.input_format)
        return {"image": pixels, "height": image.shape[0], "width": image.shape[1]}


def _open(path: str) -> Prediction:
    try:
        return Prediction(path, read_image(path))
    except (ValueError, OSError) as error:
        return Prediction(path, error=str(error))


def _decoders() -> int:
    """Threads that decode: one for every four cores, since the model wants the others."""
    return min(max((os.cpu_count() or 1) // 4, 1), 8)
