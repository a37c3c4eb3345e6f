"""Peak memory of a detector by size of its input: measured, then a straight line through it."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import sys
import warnings
from collections.abc import Sequence

import torch
from detectron2.config import CfgNode

from smallobj.config import get_cfg
from smallobj.costs.separate_process import RunFailed, run_apart
from smallobj.modeling import build_model

MIB = 2**20
_STATUS = "/proc/self/status"


@dataclasses.dataclass(frozen=True)
class MemoryLine:
    """Memory = base + per_pixel x pixels.

    Attributes:
        base: bytes that are needed whatever the input: on a GPU the weights; on a CPU the whole
            process, libraries included.
        per_pixel: bytes that each pixel of the (padded) input adds.
    """

    base: float
    per_pixel: float

    def at(self, pixels: float) -> float:
        """Bytes that an input of so many pixels takes."""
        return self.base + self.per_pixel * pixels

    def max_pixels(self, budget: float) -> int:
        """Most pixels that fit into so many bytes.

        Raises:
            ValueError: not even the base fits.
        """
        if budget <= self.base:
            raise ValueError(
                f"the memory budget must exceed what the model takes without any image, "
                f"{self.base / MIB:.0f} MiB; got {budget / MIB:.0f} MiB"
            )
        return int((budget - self.base) / self.per_pixel)


def fit_line(pixels: Sequence[int], peaks: Sequence[int]) -> MemoryLine:
    """The straight line through the largest input and the next one of at most half its pixels.

    Measured peaks bend, so the slope between the largest inputs is the one to go on with. Peaks
    also vary by some hundredths from process to process, which between inputs of nearly one size
    would be all that the slope shows.

    Args:
        pixels: of the inputs, two different ones at least.
        peaks: bytes.

    Raises:
        ValueError: memory does not grow with the input, so nothing can be told from it.
    """
    points = sorted(zip(pixels, peaks, strict=True))
    x1, y1 = points[-1]
    x0, y0 = max((point for point in points if point[0] <= x1 / 2), default=points[0])
    if x1 <= x0 or y1 <= y0:
        raise ValueError(
            f"memory must grow with the input to be told from it; measured {list(peaks)} bytes "
            f"at {list(pixels)} pixels"
        )
    slope = (y1 - y0) / (x1 - x0)
    return MemoryLine(base=max(y0 - slope * x0, 0.0), per_pixel=slope)


def measure_peaks(cfg: CfgNode, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Peak bytes of one pass at each input size, batch 1, with random weights.

    On a GPU: what PyTorch's tensors take at most (the CUDA context, some hundred MiB, comes on
    top). On a CPU: the largest resident set of a process of its own that does nothing else,
    because allocators keep what was freed, and because the arithmetic library's buffers are
    invisible to PyTorch's profiler.

    Args:
        cfg: of the model, MODEL.DEVICE included.
        sizes: (h, w), by rising area: a peak is only seen where it passes the one before.

    Raises:
        ValueError: sizes that don't rise, or memory ran out.
    """
    areas = [height * width for height, width in sizes]
    if sorted(set(areas)) != areas:
        raise ValueError(f"sizes must be given by rising area; got {list(sizes)}")
    if torch.device(cfg.MODEL.DEVICE).type == "cuda":
        return _peaks_here(cfg.dump(), sizes)
    threads = torch.get_num_threads()
    try:
        return run_apart(_peaks_here, cfg.dump(), sizes, threads)
    except RunFailed as error:
        raise ValueError(
            f"an input of {sizes[-1][1]}x{sizes[-1][0]} pixels must fit into this machine's "
            "memory to be measured; the measuring process was killed"
        ) from error


def _peaks_here(
    text: str, sizes: Sequence[tuple[int, int]], threads: int | None = None
) -> list[int]:
    """What :func:`measure_peaks` promises, in this process."""
    if threads:
        torch.set_num_threads(threads)
    cfg = get_cfg()
    cfg.merge_from_other_cfg(CfgNode.load_cfg(text))
    device = torch.device(cfg.MODEL.DEVICE)
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    peaks = []
    for height, width in sizes:
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the tool that asked has shown them
            model([{"image": image, "height": height, "width": width}])
        cuda = device.type == "cuda"
        peaks.append(torch.cuda.max_memory_allocated(device) if cuda else peak_resident_bytes())
    return peaks


def peak_resident_bytes() -> int:
    """Largest resident set that this process has had.

    Linux counts ``ru_maxrss`` from before the program was started, so that a small child of a
    large process looks as large; VmHWM begins with the program.
    """
    with contextlib.suppress(OSError), open(_STATUS, encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
