"""Detection with a focus network: the detector reads only the regions that the network chooses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.config import CfgNode
from torch import nn
from torch.nn import functional as F

from smallobj.checks import check_between, check_positive
from smallobj.config import load_config
from smallobj.geometry.regions import check_windows, choose_regions
from smallobj.images.reduction import reduce_image
from smallobj.inference.detector_config import BUNDLED_FOLDER
from smallobj.inference.model import load_model

Item = dict[str, Any]

BUNDLED_FOCUS = os.path.join(BUNDLED_FOLDER, "focus_synthetic.yaml")
# Arguments of RegionChooser and their keys in TEST.FOCUS.
_SETTINGS = {
    "threshold": "HEAT_THRESH",
    "windows": "WINDOWS",
    "margins": "MARGINS",
    "max_area": "MAX_AREA",
}


class TileReader(Protocol):
    """A detector whose input items may hold "tiles", such as a TiledDetector."""

    training: bool

    def stream(self, items: Iterable[Item]) -> Iterator[Item]: ...


class RegionChooser(nn.Module):
    """Runs a focus network on an image at reduced scale to choose the regions for a detector."""

    def __init__(
        self,
        network: Any,
        *,
        threshold: float,
        windows: Sequence[int],
        margins: Sequence[int],
        max_area: float,
        swap_channels: bool = False,
    ) -> None:
        """
        Args:
            network: a FocusNet in evaluation mode.
            threshold, windows, margins, max_area: as in ``regions.choose_regions``.
            swap_channels: the images' channel order is the reverse of the network's.

        Raises:
            ValueError: a value out of range.
        """
        super().__init__()
        check_between("TEST.FOCUS.HEAT_THRESH", threshold, 0, 1, "()")
        check_windows(windows, margins, network.stride)
        if any(window % 32 for window in windows):
            raise ValueError(f"TEST.FOCUS.WINDOWS must be multiples of 32; got {list(windows)}")
        check_positive("TEST.FOCUS.MAX_AREA", max_area)
        self.network: Any = network
        self.threshold = threshold
        self.windows = windows
        self.margins = margins
        self.max_area = max_area
        self.swap_channels = swap_channels
        self.eval()

    @torch.no_grad()
    def look(self, item: Item) -> tuple[np.ndarray, np.ndarray, int]:
        """Heat (h, w), expected sides of objects (h, w), and the side of a cell in image pixels.

        Args:
            item: a dict with "image" (3, H, W) uint8; and "reduced", the same image at the
                network's scale, if the loader has decoded it.
        """
        reduced = item.get("reduced")
        if reduced is None:
            reduced = reduce_tensor(item["image"], self.network.reduction)
        if self.swap_channels:
            reduced = reduced.flip(0)
        (output,) = self.network([{"image": reduced}])
        return output["focus"].cpu().numpy(), output["side"].cpu().numpy(), output["stride"]

    def forward(self, item: Item) -> np.ndarray:
        """Regions (T, 4) int64 XYXY; T may be 0."""
        return self.choose(*self.look(item), item["image"].shape[-2:])

    def choose(
        self, heat: np.ndarray, side: np.ndarray, stride: int, image_size: tuple[int, int]
    ) -> np.ndarray:
        """:func:`smallobj.geometry.regions.choose_regions` with these settings."""
        return choose_regions(
            heat,
            side,
            stride,
            image_size,
            threshold=self.threshold,
            windows=self.windows,
            margins=self.margins,
            max_area=self.max_area,
        )


class FocusedDetector(nn.Module):
    """A tiled detector that reads only the regions that a :class:`RegionChooser` chooses.

    Keeps Detectron2's contract. If no cell of an image's heat map exceeds the threshold, the
    detector doesn't run and the image has no detections.
    """

    def __init__(self, chooser: RegionChooser, detector: Any) -> None:
        """
        Args:
            chooser: chooses the regions.
            detector: a :class:`TileReader`.
        """
        super().__init__()
        self.chooser = chooser
        self.detector = detector
        self.train(detector.training)

    def train(self, mode: bool = True) -> FocusedDetector:
        """Sets the detector's mode; the focus network always stays in evaluation mode."""
        super().train(mode)
        self.chooser.eval()
        return self

    def forward(self, batched_inputs: list[Item]) -> list[Item]:
        """As the detector's ``forward``; "tiles" in the outputs are the chosen regions."""
        return list(self.stream(batched_inputs))

    def stream(self, items: Iterable[Item]) -> Iterator[Item]:
        """As :meth:`forward`, for a stream of images of any length."""
        return self.detector.stream({**item, "tiles": self.chooser(item)} for item in items)


def build_focus(cfg: CfgNode) -> RegionChooser:
    """Builds the chooser that a detector's TEST.FOCUS describes.

    Where a key is 0 or empty, the focus network's own config decides.

    Raises:
        FileNotFoundError: the config or the weights do not exist.
        ValueError: the model is not a FocusNet, its weights don't fit, or a value is out of range.
    """
    node = cfg.TEST.FOCUS
    path = node.CONFIG or BUNDLED_FOCUS
    own = load_config(path)
    if own.MODEL.META_ARCHITECTURE != "FocusNet":
        raise ValueError(
            f"TEST.FOCUS.CONFIG {path}: needs MODEL.META_ARCHITECTURE FocusNet; "
            f"got {own.MODEL.META_ARCHITECTURE}"
        )
    own.MODEL.DEVICE = cfg.MODEL.DEVICE
    own.TEST.PRECISION = cfg.TEST.PRECISION
    weights = node.WEIGHTS or own.MODEL.WEIGHTS
    if not weights:
        raise ValueError(f"{path} names no weights; set TEST.FOCUS.WEIGHTS")
    if not os.path.isfile(weights):
        weights = os.path.join(os.path.dirname(path), weights)
    own.MODEL.WEIGHTS = weights
    network = load_model(own)
    settings = {name: node[key] or own.TEST.FOCUS[key] for name, key in _SETTINGS.items()}
    return RegionChooser(network, swap_channels=cfg.INPUT.FORMAT != own.INPUT.FORMAT, **settings)


def reduce_tensor(image: torch.Tensor, reduction: int) -> torch.Tensor:
    """:func:`smallobj.images.reduction.reduce_image` for (C, H, W) uint8, on any device."""
    if reduction == 1:
        return image
    if image.device.type == "cpu":
        reduced = reduce_image(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), reduction)
        return torch.from_numpy(reduced).permute(2, 0, 1)
    means = F.avg_pool2d(image.float(), reduction, ceil_mode=True)
    return means.round().to(torch.uint8)
