"""Timing rivals in turns, so that a noisy machine is unfair to all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from benchmarks.clock import seconds_now


@dataclass(frozen=True)
class Timing:
    """One rival's runs.

    Attributes:
        name: what was run.
        seconds: one time a run, in order.
        items: how much work a run did.
    """

    name: str
    seconds: tuple[float, ...]
    items: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Items a second, in the median run."""
        return self.items / self.median


def time_in_turns(rivals: dict[str, Callable[[], int]], runs: int) -> list[Timing]:
    """Runs every rival once in each of ``runs`` rounds, after a round that doesn't count.

    Args:
        rivals: what to run, by name; returns how many items it has worked through, always the same.
        runs: rounds, at least 5 for figures that are printed anywhere.
    """
    items = {name: run() for name, run in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in tqdm(range(runs), unit="round", leave=False, disable=None):
        for name, run in rivals.items():
            start = seconds_now()
            run()
            seconds[name].append(seconds_now() - start)
    return [Timing(name, tuple(seconds[name]), items[name]) for name in rivals]
