"""Rate of a machine in convolutions, which limits the speed of every detector.

A multiply-add counts as two floating-point operations, as in ``smallobj.costs.flops``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from benchmarks.clock import seconds_now
from benchmarks.report import Cell, Table
from smallobj.costs.flops import analyse_flops, count_flops
from smallobj.data.image_file import read_image
from smallobj.modeling.precision import PRECISIONS

_GIGA = 1e9
# A measurement repeats a convolution for at least this time, to average over busy moments.
_LEAST_SECONDS = 0.2
_PRODUCT_SIDE = 2048


@dataclass(frozen=True)
class Convolution:
    """A convolution with "same" padding: the output has the size of the input over the stride.

    Attributes:
        name: its role in a detector.
        channels_in, channels_out, kernel, stride: of the convolution.
        height, width: of its input.
    """

    name: str
    channels_in: int
    channels_out: int
    kernel: int
    stride: int
    height: int
    width: int

    @property
    def flops(self) -> int:
        """2 x number of outputs x number of weights of each output."""
        height, width = -(-self.height // self.stride), -(-self.width // self.stride)
        per_output = self.channels_in * self.kernel**2
        return 2 * self.channels_out * height * width * per_output


# Most of the operations of a ResNet-18-FPN with 64 channels on a tile of 1024 x 800 px.
REPRESENTATIVE = (
    Convolution("stem 7x7, 3 to 64, stride 2", 3, 64, 7, 2, 800, 1024),
    Convolution("3x3, 64, at 1/4", 64, 64, 3, 1, 200, 256),
    Convolution("3x3, 64, at 1/8", 64, 64, 3, 1, 100, 128),
    Convolution("3x3, 64, at 1/16", 64, 64, 3, 1, 50, 64),
    Convolution("3x3, 128, at 1/8", 128, 128, 3, 1, 100, 128),
    Convolution("3x3, 256, at 1/16", 256, 256, 3, 1, 50, 64),
    Convolution("3x3, 512, at 1/32", 512, 512, 3, 1, 25, 32),
    Convolution("1x1, 64, at 1/4", 64, 64, 1, 1, 200, 256),
    Convolution("1x1, 512 to 64, at 1/32", 512, 64, 1, 1, 25, 32),
)


@dataclass(frozen=True)
class Rate:
    """Measured times of one operation.

    Attributes:
        name: of the operation.
        dtype: a name in PRECISIONS.
        flops: operations of one run.
        seconds: time of one run in each measurement.
    """

    name: str
    dtype: str
    flops: int
    seconds: tuple[float, ...]

    @property
    def gflops(self) -> float:
        """10⁹ operations per second, of the median time."""
        return self.flops / statistics.median(self.seconds) / _GIGA


def measure_convolution(
    convolution: Convolution, dtype: str, device: str, runs: int, least: float = _LEAST_SECONDS
) -> Rate:
    """Times one convolution alone, channels last, without gradients.

    Args:
        convolution: what to run.
        dtype: a name in PRECISIONS.
        device: "cpu" or "cuda".
        runs: number of measurements.
        least: least seconds of a measurement, which repeats the convolution.
    """
    layer = nn.Conv2d(
        convolution.channels_in,
        convolution.channels_out,
        convolution.kernel,
        convolution.stride,
        convolution.kernel // 2,
        bias=False,
    )
    kind = PRECISIONS[dtype]
    layer = layer.to(device, kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (1, convolution.channels_in, convolution.height, convolution.width)
    image = torch.rand(shape, device=device, dtype=kind)
    image = image.contiguous(memory_format=torch.channels_last)
    seconds = _time(lambda: layer(image), runs, least)
    return Rate(convolution.name, dtype, convolution.flops, seconds)


def measure_product(
    size: int, dtype: str, device: str, runs: int, least: float = _LEAST_SECONDS
) -> Rate:
    """Times the product of two square matrices, the highest rate of the machine."""
    left, right = (torch.rand(size, size, device=device, dtype=PRECISIONS[dtype]) for _ in range(2))
    seconds = _time(lambda: left @ right, runs, least)
    return Rate(f"matrix product, {size} x {size}", dtype, 2 * size**3, seconds)


@torch.no_grad()
def _time(operation: Callable[[], torch.Tensor], runs: int, least: float) -> tuple[float, ...]:
    def repeat(count: int) -> float:
        start = seconds_now()
        for _ in range(count):
            operation()
        return seconds_now() - start

    repeat(1)  # warm-up: chooses kernels and packs weights
    count = 1
    while repeat(count) < least:
        count *= 2
    return tuple(repeat(count) / count for _ in range(runs))


def measure_rates(
    device: str, runs: int, dtypes: Iterable[str], least: float = _LEAST_SECONDS
) -> list[Rate]:
    """Times the representative convolutions and a matrix product, in each precision."""
    rates = []
    for dtype in dtypes:
        rates += [measure_convolution(c, dtype, device, runs, least) for c in REPRESENTATIVE]
        rates.append(measure_product(_PRODUCT_SIDE, dtype, device, runs, least))
    return rates


def convolution_rate(rates: list[Rate], dtype: str) -> float:
    """10⁹ operations per second of the fastest representative convolution in ``dtype``."""
    names = {convolution.name for convolution in REPRESENTATIVE}
    return max(rate.gflops for rate in rates if rate.dtype == dtype and rate.name in names)


def rates_table(rates: list[Rate]) -> Table:
    """A table with a row for each operation and a column for each precision."""
    names = list(dict.fromkeys(rate.name for rate in rates))
    dtypes = list(dict.fromkeys(rate.dtype for rate in rates))
    by_key = {(rate.name, rate.dtype): rate for rate in rates}
    rows: list[list[Cell]] = [
        [name, by_key[name, dtypes[0]].flops / _GIGA, *(by_key[name, d].gflops for d in dtypes)]
        for name in names
    ]
    headers = ["operation, channels last", "GFLOP", *[f"{dtype} GFLOP/s" for dtype in dtypes]]
    return Table("Operations per second of this machine", headers, rows)


@dataclass(frozen=True)
class Work:
    """Inputs and proposals that a detector has processed.

    Attributes:
        shapes: (h, w) of each input, with padding.
        regions: number of proposals of each image in the ROI heads.
    """

    shapes: list[tuple[int, int]]
    regions: list[int]

    @property
    def pixels(self) -> int:
        """Total number of pixels of all inputs."""
        return sum(height * width for height, width in self.shapes)


@contextmanager
def watch_work(detector: nn.Module) -> Iterator[Work]:
    """Records the inputs and proposals of a GeneralizedRCNN in the ``with`` block."""
    model: Any = detector
    work = Work([], [])

    def note_image(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        height, width = inputs[0].shape[-2:]
        work.shapes.extend([(int(height), int(width))] * inputs[0].shape[0])

    def note_regions(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        work.regions.extend(len(proposals) for proposals in inputs[2])

    handles = [
        model.backbone.register_forward_pre_hook(note_image),
        model.roi_heads.register_forward_pre_hook(note_regions),
    ]
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class StageFlops:
    """Operations by stage: per pixel of backbone and RPN, per proposal of the ROI heads."""

    backbone: float
    proposals: float
    heads: float

    def of(self, work: Work) -> dict[str, float]:
        """Operations of ``work`` by stage."""
        return {
            "backbone": self.backbone * work.pixels,
            "proposals": self.proposals * work.pixels,
            "heads": self.heads * sum(work.regions),
        }


class _Features(nn.Module):
    """A backbone that returns a tuple of features, for tracing."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.backbone(image).values())


@torch.no_grad()
def count_stage_flops(detector: nn.Module, side: int = 128) -> StageFlops:
    """Counts the operations of a detector by stage with fvcore, on noise.

    Args:
        detector: a GeneralizedRCNN in evaluation mode.
        side: of the square input, a multiple of the model's size divisibility.
    """
    model: Any = detector
    with all_proposals(model), watch_work(model) as work:
        count = analyse_flops(model, side, side)
    # Tracing runs a model more than once; each pass gives the same number of proposals.
    regions, pixels = work.regions[0], side * side
    noise = torch.rand(1, 3, side, side, device=next(model.parameters()).device)
    analysis = FlopCountAnalysis(_Features(model.backbone), noise)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    backbone = 2 * analysis.tracer_warnings("none").total()
    return StageFlops(
        backbone=backbone / pixels,
        proposals=(count.dense - backbone) / pixels,
        heads=count.per_region / max(regions, 1),
    )


def count_focus_flops(chooser: Any, path: str) -> float:
    """Operations of a RegionChooser's network on an image file; 0 if there is no chooser."""
    if chooser is None:
        return 0.0
    height, width = read_image(path).shape[:2]
    reduction = chooser.network.reduction
    return count_flops(chooser.network, height // reduction, width // reduction)


@contextmanager
def all_proposals(model: Any) -> Iterator[None]:
    """Sets the RPN's score threshold to 0 in the ``with`` block, if there is one.

    On noise the RPN would drop all proposals, so nothing could be counted.
    """
    generator = getattr(model, "proposal_generator", None)
    threshold = getattr(generator, "score_thresh_test", None)
    if threshold is not None:
        model.proposal_generator.score_thresh_test = 0.0
    try:
        yield
    finally:
        if threshold is not None:
            model.proposal_generator.score_thresh_test = threshold
