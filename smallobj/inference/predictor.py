"""A predictor that takes images or image files and returns their detections."""

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
from smallobj.data.image_file import read_image
from smallobj.data.prefetch import map_ahead
from smallobj.images.pixels import PixelConversion
from smallobj.images.size import read_size
from smallobj.inference.batching import stream_through
from smallobj.inference.cuts import Cut, count_from, take_cuts
from smallobj.inference.detector import load_detector
from smallobj.inference.focus import FocusedDetector
from smallobj.modeling.device import on_available_device
from smallobj.modeling.score_threshold import lower_score_threshold

Item = dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """The result of one image file.

    Attributes:
        path: as it was given.
        image: (H, W, 3) uint8, BGR; None if the file can't be read, or if it was not decoded at
            full scale because the focus network chose no region in it.
        instances: detections on the CPU, in the image's pixels, by falling score; None if the file
            can't be read.
        tiles: (T, 4) XYXY in the image's pixels, the tiles that a tiled detector read.
        error: why the file can't be read, else "".
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
    """Detectron2's predictor with tiling and safe loading of weights; the detector of validation.

    Attributes:
        model: the detector, tiled if TEST.TILE.ENABLED.
        class_names: names of the classes, in the order of pred_classes.
        score_threshold: lowest score of a detection, or None.
        conversion: how the values of files become pixels.
    """

    def __init__(self, cfg: CfgNode, score_threshold: float | None = None) -> None:
        """
        Args:
            cfg: config of the detector, as :func:`prepare_detector_config` returns it.
            score_threshold: lowest score of a detection, in [0, 1]; replaces the thresholds of the
                config, higher ones too. None: as the config says.

        Raises:
            ValueError: weights that don't fit the config or are unsafe to load, or a threshold
                outside [0, 1].
            FileNotFoundError: there is no file at MODEL.WEIGHTS.
        """
        # The base class's __init__ is not called, since it would unpickle the weights.
        self.cfg = on_available_device(cfg).clone()
        self.score_threshold = score_threshold
        if score_threshold is not None:
            check_between("the lowest score of a detection", score_threshold, 0, 1)
            self.cfg.defrost()
            lower_score_threshold(self.cfg, score_threshold)
        self.model: Any = load_detector(self.cfg, score_threshold)
        count_from(self.model, score_threshold or 0.0)
        self.aug = resize_on_reading(self.cfg)
        self.input_format = cfg.INPUT.FORMAT
        self.conversion = PixelConversion.from_config(cfg)
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
            {"instances": Instances} in the image's pixels, by falling score; and "tiles" if the
            detector is tiled.

        Raises:
            ValueError: the image is no such array.
        """
        _check_image(original_image)
        return self._above_threshold(self.model([self._item(original_image)])[0])

    def take_cuts(self) -> list[Cut]:
        """What limits of the number of detections have cut since the last call."""
        return take_cuts(self.model)

    def _above_threshold(self, output: Item) -> Item:
        if self.score_threshold is None:
            return output
        instances = output["instances"]
        return {**output, "instances": instances[instances.scores >= self.score_threshold]}

    def stream(self, paths: Iterable[str]) -> Iterator[Prediction]:
        """Runs the detector on image files, and decodes the next ones while the model computes.

        Args:
            paths: image files, read a few ahead of the results.

        Yields:
            A prediction for each file, in order; that of a broken file has an error.
        """
        waiting: deque[_Opened] = deque()
        workers, ahead = _decoders(), _decoders() + 1
        detector = self.model
        if isinstance(detector, FocusedDetector) and self.cfg.TEST.FOCUS.REDUCED_FIRST:
            detector = detector.detector  # regions are chosen before decoding at full scale
            reduced_files = map(
                self._choose_regions, map_ahead(self._read_reduced, paths, workers, ahead)
            )
            files = map_ahead(self._open_chosen, reduced_files, workers, ahead)
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
            image = read_image(path, conversion=self.conversion)
        except (ValueError, OSError) as error:
            return _Opened(path, error=str(error))
        return _Opened(path, image, self._item(image))

    def _read_reduced(self, path: str) -> _Opened:
        """Decodes a file at reduced scale; "image" is a placeholder of the full size."""
        try:
            reduction = self.model.chooser.network.reduction
            reduced = read_image(path, reduction, self.conversion)
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

    def _choose_regions(self, file: _Opened) -> _Opened:
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


def _check_image(image: Any) -> None:
    """Raises ValueError for what a model would misread, such as values from 0 to 1 as black."""
    wanted = "the predictor takes an image as (H, W, 3) uint8, BGR, values from 0 to 255"
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{wanted}; got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        span = ""
        if image.size and image.dtype.kind in "uif":
            span = f", values from {image.min():g} to {image.max():g}"
        raise ValueError(f"{wanted}; got {image.shape} {image.dtype}{span}")


def _decoders() -> int:
    """Number of decoding threads: one for every four cores, as the model needs the others."""
    return min(max((os.cpu_count() or 1) // 4, 1), 8)
