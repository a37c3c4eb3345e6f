"""Peak memory of a detector as a linear function of the input's pixels, from measurements."""

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

    >>> MemoryLine(base=700.0, per_pixel=4.0).max_pixels(4700)
    1000

    Attributes:
        base: bytes needed for any input: on a GPU the weights; on a CPU the whole process,
            including libraries.
        per_pixel: additional bytes per pixel of the (padded) input.
    """

    base: float
    per_pixel: float

    def at(self, pixels: float) -> float:
        """Bytes needed for an input of this many pixels."""
        return self.base + self.per_pixel * pixels

    def max_pixels(self, budget: float) -> int:
        """Largest number of pixels that fits into a budget in bytes.

        Raises:
            ValueError: the budget does not exceed the base.
        """
        if budget <= self.base:
            raise ValueError(
                f"the memory budget (--memory-mib) must exceed what the model takes without any "
                f"image, {self.base / MIB:.0f} MiB; got {budget / MIB:.0f} MiB"
            )
        return int((budget - self.base) / self.per_pixel)


def fit_line(pixels: Sequence[int], peaks: Sequence[int]) -> MemoryLine:
    """The line through the largest input and the next one with at most half its pixels.

    Measured peaks are not quite linear, so the slope between the largest inputs is the best one to
    extrapolate with. Peaks also vary by a few percent between processes, which would dominate the
    slope between inputs of nearly the same size.

    Args:
        pixels: of the inputs, at least two different numbers.
        peaks: measured peak memory of each input, in bytes.

    Raises:
        ValueError: memory does not grow with the input.
    """
    points = sorted(zip(pixels, peaks, strict=True))
    x1, y1 = points[-1]
    x0, y0 = max((point for point in points if point[0] <= x1 / 2), default=points[0])
    if x1 <= x0 or y1 <= y0:
        raise ValueError(
            f"memory must grow with the input for a fit; measured {list(peaks)} bytes "
            f"at {list(pixels)} pixels"
        )
    slope = (y1 - y0) / (x1 - x0)
    return MemoryLine(base=max(y0 - slope * x0, 0.0), per_pixel=slope)


def measure_peaks(cfg: CfgNode, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Peak bytes of one pass at each input size, batch 1, with random weights.

    On a GPU: the peak of memory allocated by PyTorch, without the CUDA context (some hundred MiB).
    On a CPU: the largest resident set of a separate process that does nothing else, because
    allocators keep freed memory, and PyTorch's profiler does not see the buffers of the arithmetic
    library.

    Args:
        cfg: config of the model, with MODEL.DEVICE.
        sizes: (h, w), by increasing area, since a peak is visible only if it exceeds the last one.

    Raises:
        ValueError: the areas do not increase, or memory ran out.
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
    """:func:`measure_peaks` in this process."""
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
            warnings.simplefilter("ignore", UserWarning)  # already shown by the calling tool
            model([{"image": image, "height": height, "width": width}])
        cuda = device.type == "cuda"
        peaks.append(torch.cuda.max_memory_allocated(device) if cuda else peak_resident_bytes())
    return peaks


def peak_resident_bytes() -> int:
    """Largest resident set of this process so far, in bytes.

    On Linux, ``ru_maxrss`` includes the time before the program was started, so a small child of a
    large process would seem as large. VmHWM starts with the program.
    """
    with contextlib.suppress(OSError), open(_STATUS, encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
