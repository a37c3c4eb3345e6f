"""Common settings of trainings that are compared."""

from __future__ import annotations

import dataclasses
import hashlib


def short_hash(thing: object) -> str:
    """First twelve hexadecimal digits of the SHA-256 of ``repr(thing)``."""
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Contest:
    """Common settings of all runs of a comparison.

    Attributes:
        train, test: names of registered datasets.
        register: specs for DATASETS.REGISTER.
        seconds: time limit of the training steps.
        clock: SOLVER.CLOCK.
        seed: SEED.
        threads: processor threads of each run.
        gpus: 0 or 1.
        opts: KEY VALUE pairs for all runs.

    Raises:
        ValueError: less than a second, processor time on a GPU, or no dataset.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    register: tuple[str, ...]
    seconds: int
    clock: str = "cpu"
    seed: int = 1
    threads: int = 1
    gpus: int = 0
    opts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seconds < 1:
            raise ValueError(f"a training takes at least a second; got {self.seconds} s")
        if self.clock == "cpu" and self.gpus:
            raise ValueError("processor time says nothing about a GPU; give --clock wall there")
        if not self.train or not self.test:
            raise ValueError("a comparison needs a dataset to train on and one to test on")

    @property
    def name(self) -> str:
        """Name of the runs' folder."""
        budget = f"{self.seconds}s-{self.clock}-{self.threads}t-seed{self.seed}"
        text = f"{'+'.join(self.train)}-{budget}"
        return f"{text}-{short_hash(self.opts)}" if self.opts else text
