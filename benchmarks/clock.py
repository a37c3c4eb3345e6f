"""A clock for work that a GPU may do."""

from __future__ import annotations

import time

import torch


def wait_for_gpu() -> None:
    """Returns when the GPU, where this process uses one, has done what it was given."""
    # Asking for more, on a GPU that nothing runs on, would take its memory.
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def seconds_now() -> float:
    """A clock's seconds after the wait: calls return before the GPU has done what they ask for."""
    wait_for_gpu()
    return time.perf_counter()
