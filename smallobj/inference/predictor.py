"""Photographs in, their detections out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import Metadata
from detectron2.engine import DefaultPredictor
from detectron2.structures import Instances

from smallobj.checks import check_between
from smallobj.data.build import image_tensor, resize_on_reading
from smallobj.data.datasets.image_size import read_size
from smallobj.data.image_file import read_image
from smallobj.data.prefetch import map_ahead
from smallobj.inference.batching import stream_through
from smallobj.inference.detector import load_detector
from smallobj.inference.focus import FocusedDetector
from smallobj.modeling.score_threshold import lower_score_threshold

Item = dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """What became of one image file.

    Attributes:
        path: as it was given.
        image: (H, W, 3) uint8, BGR; None where the file can't be read, or was not read at full
            scale because nothing seemed to be in it.
        instances: on the CPU, in the image's pixels, by falling score; None where the file can't
            be read.
        tiles: (T, 4) XYXY in the image's pixels, where the detector looked, if in tiles.
        error: a sentence that says why, else "".
    """

    path: str
    image: np.ndarray | None = None
    instances: Instances | None = None
    tiles: np.ndarray | None = None
    error: str = ""


@dataclass(frozen=True)
class _Opened:
    """A file on its way to the detector: its item, or an error."""

    path: str
    image: np.ndarray | None = None
    item: Item | None = None
    error: str = ""


class SmallObjectPredictor(DefaultPredictor):
    """Detectron2's predictor with tiles and with safe weights; what validation runs.

    Attributes:
        model: the detector, tiled if TEST.TILE.ENABLED.
        class_names: names of the classes, in the order of pred_classes.
        score_threshold: lowest score of a detection.
    """

    def __init__(self, cfg: CfgNode, score_threshold: float | None = None) -> None:
        """
        Args:
            cfg: of the detector, as :func:`prepare_detector_config` gives it.
            score_threshold: lowest score of a detection, in [0, 1]: lower ones are left out, and
                no threshold of the config hides the others. None: what the config says.

        Raises:
            ValueError: weights that don't fit the config or are unsafe to read, or a threshold
                outside [0, 1].
            FileNotFoundError: there is no file at MODEL.WEIGHTS.
        """
        # Not the base's __init__, which would unpickle the weights.
        self.cfg = cfg.clone()
        self.score_threshold = score_threshold
        if score_threshold is not None:
            check_between("the lowest score of a detection", score_threshold, 0, 1)
            self.cfg.defrost()
            lower_score_threshold(self.cfg, score_threshold)
        self.model: Any = load_detector(self.cfg, score_threshold)
        self.aug = resize_on_reading(self.cfg)
        self.input_format = cfg.INPUT.FORMAT
        self.class_names = list(cfg.MODEL.CLASS_NAMES) or [
            f"class {index}" for index in range(cfg.MODEL.ROI_HEADS.NUM_CLASSES)
        ]
        self.metadata = Metadata(thing_classes=self.class_names)

    @torch.no_grad()
    def __call__(self, original_image: np.ndarray) -> Item:
        """
        Args:
            original_image: (H, W, 3) uint8, BGR.

        Returns:
            {"instances": Instances} in the image's pixels, by falling score; of a tiled detector
            "tiles", too.
        """
        return self._above_threshold(self.model([self._item(original_image)])[0])

    def _above_threshold(self, output: Item) -> Item:
        if self.score_threshold is None:
            return output
        instances = output["instances"]
        return {**output, "instances": instances[instances.scores >= self.score_threshold]}

    def stream(self, paths: Iterable[str]) -> Iterator[Prediction]:
        """Detects in image files, the next ones being decoded while the model computes.

        Args:
            paths: image files, taken a few ahead of the results.

        Yields:
            A prediction for each, in order; a broken file gives one with an error.
        """
        waiting: deque[_Opened] = deque()
        workers, ahead = _decoders(), _decoders() + 1
        detector = self.model
        if isinstance(detector, FocusedDetector) and self.cfg.TEST.FOCUS.REDUCED_FIRST:
            detector = detector.detector  # the regions are chosen before the file is opened
            glanced = map(self._point, map_ahead(self._glance, paths, workers, ahead))
            files = map_ahead(self._open_chosen, glanced, workers, ahead)
        else:
            files = map_ahead(self._open, paths, workers, ahead)

        def items() -> Iterator[Item]:
            for file in files:
                waiting.append(file)
                if file.item is not None:
                    yield file.item

        for output in stream_through(detector, items()):
            while waiting[0].error:
                broken = waiting.popleft()
                yield Prediction(broken.path, error=broken.error)
            done = waiting.popleft()
            found = self._above_threshold(output)["instances"].to("cpu")
            yield Prediction(done.path, done.image, found, output.get("tiles"))
        for broken in waiting:
            yield Prediction(broken.path, error=broken.error)

    def _item(self, image: np.ndarray) -> Item:
        pixels = image_tensor(image, self.aug, self.input_format)
        return {"image": pixels, "height": image.shape[0], "width": image.shape[1]}

    def _open(self, path: str) -> _Opened:
        try:
            image = read_image(path)
        except (ValueError, OSError) as error:
            return _Opened(path, error=str(error))
        return _Opened(path, image, self._item(image))

    def _glance(self, path: str) -> _Opened:
        """The file at reduced scale; a stand-in without pixels takes the image's place."""
        try:
            reduced = read_image(path, self.model.chooser.network.reduction)
        except (ValueError, OSError) as error:
            return _Opened(path, error=str(error))
        size = read_size(path)
        if not isinstance(size, tuple):
            return _Opened(path, error=f"{path}: {size}")
        height, width = size
        item = {
            "image": torch.zeros((), dtype=torch.uint8).expand(3, height, width),
            "reduced": image_tensor(reduced, None, self.input_format),
            "height": height,
            "width": width,
        }
        return _Opened(path, item=item)

    def _point(self, file: _Opened) -> _Opened:
        if file.item is None:
            return file
        return replace(file, item={**file.item, "tiles": self.model.chooser(file.item)})

    def _open_chosen(self, file: _Opened) -> _Opened:
        if file.item is None or not len(file.item["tiles"]):
            return file
        opened = self._open(file.path)
        if opened.item is None:
            return opened
        return replace(opened, item={**opened.item, "tiles": file.item["tiles"]})


def _decoders() -> int:
    """Threads that decode: one for every four cores, since the model wants the others."""
    return min(max((os.cpu_count() or 1) // 4, 1), 8)
