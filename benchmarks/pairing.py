"""Timing rivals in turns, so that noise of the machine affects all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from benchmarks.clock import seconds_now


@dataclass(frozen=True)
class Timing:
    """Times of one rival.

    Attributes:
        name: of the rival.
        seconds: time of each run, in order.
        items: number of items processed in a run.
    """

    name: str
    seconds: tuple[float, ...]
    items: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Items per second, of the median time."""
        return self.items / self.median


def time_in_turns(rivals: dict[str, Callable[[], int]], runs: int) -> list[Timing]:
    """Runs every rival once in each of ``runs`` rounds, after a warm-up round.

    Args:
        rivals: by name, a function that returns the number of items processed, always the same.
        runs: number of rounds; at least 5 for numbers that are published.
    """
    items = {name: run() for name, run in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in tqdm(range(runs), unit="round", leave=False, disable=None):
        for name, run in rivals.items():
            start = seconds_now()
            run()
            seconds[name].append(seconds_now() - start)
    return [Timing(name, tuple(seconds[name]), items[name]) for name in rivals]
