"""Choice of a tile within a memory budget, by measurements."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from detectron2.config import CfgNode

from smallobj.costs.memory import MIB, MemoryLine, fit_line, measure_peaks
from smallobj.geometry.tile_choice import BudgetError, TileChoice

_FIRST_SIZES = ((512, 512), (1024, 1024))
_ROUNDS = 4


@dataclasses.dataclass(frozen=True)
class MeasuredChoice:
    """A tile whose measured memory is within the budget.

    Attributes:
        choice: the tile.
        peak: measured peak memory of a pass over it, in bytes.
        line: fit of memory as a linear function of pixels.
    """

    choice: TileChoice
    peak: int
    line: MemoryLine


def choose_within_memory(
    cfg: CfgNode, memory_mib: float, choose: Callable[[float], TileChoice]
) -> MeasuredChoice:
    """The best tile whose pass, which is run and measured, stays within a memory budget.

    A line through the first measurements predicts how many pixels fit. The tile chosen for that
    number is measured as well, which improves the line. This repeats until the choice no longer
    changes.

    Args:
        cfg: config of the model.
        memory_mib: budget in MiB, as :func:`smallobj.costs.memory.measure_peaks` measures memory.
        choose: returns the best tile of at most the given number of pixels.

    Raises:
        ValueError: the budget is too small for the model.
        BudgetError: it is too small for any tile.
    """
    budget = memory_mib * MIB
    measured = dict(
        zip([h * w for h, w in _FIRST_SIZES], measure_peaks(cfg, _FIRST_SIZES), strict=True)
    )
    tried: dict[int, TileChoice] = {}
    for _ in range(_ROUNDS):
        line = fit_line(list(measured), list(measured.values()))
        try:
            choice = choose(line.max_pixels(budget))
        except BudgetError as error:
            error.memory_needed = line.at(error.least_pixels)
            raise
        pixels = choice.pass_pixels
        if pixels in tried:
            break
        tried[pixels] = choice
        if pixels not in measured:
            (measured[pixels],) = measure_peaks(cfg, [choice.largest_side])
    fitting = [pixels for pixels in tried if measured[pixels] <= budget]
    if not fitting:
        least = min(tried)
        raise ValueError(
            f"the memory budget is too small for a tile: {least} pixels took "
            f"{measured[least] / MIB:.0f} MiB; got --memory-mib {memory_mib:g}. Give "
            f"{math.ceil(measured[least] / MIB)} or more, or a --cover below the present one"
        )
    best = max(fitting)
    return MeasuredChoice(tried[best], measured[best], line)
