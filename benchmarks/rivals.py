"""Rivals: ways to run the same weights on an image, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model as build_detectron2_model
from detectron2.structures import Instances
from torch import nn

from benchmarks.rival_packages import RivalUnavailable
from benchmarks.sahi_rival import ReadyPredictor, SahiRival
from smallobj.checkpoint import load_weights
from smallobj.data.image_file import read_image
from smallobj.inference.detector_config import prepare_detector_config
from smallobj.inference.model import load_model
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.inference.tiled import TiledDetector
from smallobj.modeling.score_threshold import score_threshold, set_score_threshold

# Detectron2's own defaults of INPUT.MIN_SIZE_TEST and INPUT.MAX_SIZE_TEST.
_DEFAULT_SHORTEST, _DEFAULT_LONGEST = 800, 1333


class Rival(Protocol):
    """Interface of all rivals. A result has the type that the rival itself returns.

    Attributes:
        detector: the Detectron2 model inside, not wrapped.
    """

    detector: nn.Module

    def detect_files(self, paths: Sequence[str]) -> Iterator[Any]:
        """Yields a result for each image file."""

    def detect_arrays(self, images: Sequence[np.ndarray]) -> Iterator[Any]:
        """Yields a result for each array returned by ``prepare``."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Converts (H, W, 3) uint8 BGR to the channel order of ``detect_arrays``."""

    def instances(self, result: Any, size: tuple[int, int]) -> Instances:
        """Converts a result to Instances in image pixels; ``size`` is (h, w)."""


@dataclass(frozen=True)
class Settings:
    """Settings common to all rivals.

    Attributes:
        config_file, weights, device, opts: as in :func:`prepare_detector_config`.
        focus_opts: additional KEY VALUE pairs for the row with focus.
        tile: side of SAHI's slices, in pixels.
        overlap: of SAHI's slices, as a share of their side.
        threshold: lowest score of detections; None: the config's.
    """

    config_file: str | None = None
    weights: str | None = None
    device: str | None = None
    opts: tuple[str, ...] = ()
    focus_opts: tuple[str, ...] = ()
    tile: int = 512
    overlap: float = 0.2
    threshold: float | None = None

    def config(self, *more: str) -> CfgNode:
        """The config of the rivals, with additional KEY VALUE pairs."""
        opts = [*self.opts, *more]
        cfg = prepare_detector_config(self.config_file, self.weights, self.device, opts)
        if self.threshold is not None:
            set_score_threshold(cfg, self.threshold)
        return cfg


class WholeImageRival:
    """Detectron2's DefaultPredictor: the whole image in one pass."""

    def __init__(self, predictor: ReadyPredictor) -> None:
        self.predictor = predictor
        self.detector: nn.Module = predictor.model

    def detect_files(self, paths: Sequence[str]) -> Iterator[Instances]:
        """Instances of each file."""
        for path in paths:
            yield self.predictor(read_image(path))["instances"]

    def detect_arrays(self, images: Sequence[np.ndarray]) -> Iterator[Instances]:
        """Instances of each (H, W, 3) uint8 BGR array."""
        for image in images:
            yield self.predictor(image)["instances"]

    @staticmethod
    def prepare(image: np.ndarray) -> np.ndarray:
        """Returns the image unchanged."""
        return image

    @staticmethod
    def instances(result: Instances, size: tuple[int, int]) -> Instances:
        """Returns the result unchanged."""
        return result


class SmallObjectRival(WholeImageRival):
    """This project's predictor.

    Attributes:
        tiled: its TiledDetector; None if tiles are disabled.
        chooser: its RegionChooser; None without focus.
    """

    def __init__(self, predictor: SmallObjectPredictor) -> None:
        self.predictor = predictor
        wrappers = [m for m in predictor.model.modules() if isinstance(m, TiledDetector)]
        self.tiled = wrappers[0] if wrappers else None
        self.detector = self.tiled.model if self.tiled else predictor.model
        self.chooser: Any = getattr(predictor.model, "chooser", None)

    def detect_files(self, paths: Sequence[str]) -> Iterator[Instances]:
        """Instances of each file; the next files are decoded in the meantime.

        Raises:
            ValueError: a file cannot be read.
        """
        for prediction in self.predictor.stream(paths):
            if prediction.instances is None:
                raise ValueError(prediction.error)
            yield prediction.instances


def _whole(
    settings: Settings, shortest: int, longest: int, is_plain: bool = True
) -> WholeImageRival:
    return WholeImageRival(_predictor(settings, shortest, longest, is_plain))


def _sahi(
    settings: Settings, shortest: int, longest: int, is_plain: bool = True, **options: bool
) -> SahiRival:
    cfg = settings.config()
    return SahiRival(
        _predictor(settings, shortest, longest, is_plain),
        cfg.MODEL.CLASS_NAMES or [str(i) for i in range(cfg.MODEL.ROI_HEADS.NUM_CLASSES)],
        tile=settings.tile,
        overlap=settings.overlap,
        threshold=score_threshold(cfg),
        **options,
    )


def _predictor(settings: Settings, shortest: int, longest: int, is_plain: bool) -> ReadyPredictor:
    """``is_plain``: the model as Detectron2 builds it, float32, channels first; else as ours."""
    # Detectron2's own RPN keeps its best proposals, however low their objectness.
    cfg = settings.config(*(["MODEL.RPN.SCORE_THRESH_TEST", "0.0"] if is_plain else []))
    if is_plain:
        model = build_detectron2_model(cfg).eval()
        load_weights(model, cfg.MODEL.WEIGHTS)
    else:
        model = load_model(cfg)
    return ReadyPredictor(cfg, model, shortest, longest)


def _ours(settings: Settings, *opts: str) -> SmallObjectRival:
    return SmallObjectRival(SmallObjectPredictor(settings.config(*opts)))


def _focus(settings: Settings) -> SmallObjectRival:
    if "FOCUS" not in settings.config().TEST:
        raise RivalUnavailable("this version has no focus (no key TEST.FOCUS)")
    try:
        return _ours(settings, "TEST.FOCUS.ENABLED", "True", *settings.focus_opts)
    except (ValueError, FileNotFoundError) as error:
        raise RivalUnavailable(f"focus can't run: {error}") from error


@dataclass(frozen=True)
class Entry:
    """A row of the benchmark: its title, and a function that builds the rival."""

    title: str
    build: Callable[[Settings], Rival]


# "float32": the model as Detectron2 builds it; "mixed": as this project runs it by default.
ENTRIES: dict[str, Entry] = {
    "sahi": Entry("SAHI, float32", lambda s: _sahi(s, s.tile, s.tile)),
    "sahi-mixed": Entry("SAHI, mixed", lambda s: _sahi(s, s.tile, s.tile, is_plain=False)),
    "sahi-slices": Entry(
        "SAHI, float32, slices alone", lambda s: _sahi(s, s.tile, s.tile, is_slices_alone=True)
    ),
    "sahi-greedynmm": Entry(
        "SAHI, float32, GREEDYNMM", lambda s: _sahi(s, s.tile, s.tile, is_greedy=True)
    ),
    "sahi-native": Entry("SAHI, float32, whole pass at full size", lambda s: _sahi(s, 0, 0)),
    "sahi-800": Entry(
        "SAHI, float32, slices enlarged to 800 px",
        lambda s: _sahi(s, _DEFAULT_SHORTEST, _DEFAULT_LONGEST),
    ),
    "whole": Entry("whole image, float32", lambda s: _whole(s, 0, 0)),
    "whole-mixed": Entry("whole image, mixed", lambda s: _whole(s, 0, 0, is_plain=False)),
    "whole-800": Entry(
        "whole image at 800 px, float32", lambda s: _whole(s, _DEFAULT_SHORTEST, _DEFAULT_LONGEST)
    ),
    "ours-float32": Entry("smallobj, float32", lambda s: _ours(s, "TEST.PRECISION", "float32")),
    "ours": Entry("smallobj, mixed", _ours),
    "focus": Entry("smallobj, mixed, focus", _focus),
}


def build_rival(name: str, settings: Settings) -> Rival:
    """Builds a rival by name.

    Raises:
        ValueError: the name is unknown.
        RivalUnavailable: the rival cannot run here.
    """
    if name not in ENTRIES:
        raise ValueError(f"unknown row {name!r}; known are {', '.join(ENTRIES)}")
    return ENTRIES[name].build(settings)


def set_threads(count: int) -> None:
    """Sets the number of threads of PyTorch and OpenCV."""
    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def build_rivals(names: Sequence[str], settings: Settings) -> tuple[dict[str, Rival], list[str]]:
    """Builds rivals by name; returns them, and a sentence for each that cannot run.

    Raises:
        ValueError: a name is unknown.
    """
    rivals: dict[str, Rival] = {}
    absent = []
    for name in names:
        try:
            rivals[name] = build_rival(name, settings)
        except RivalUnavailable as error:
            absent.append(f"{name}: left out, {error}")
    return rivals, absent
