"""A clock for work that may run on a GPU."""

from __future__ import annotations

import time

import torch


def wait_for_gpu() -> None:
    """Waits for the work of this process on the GPU, if it uses one."""
    # Synchronising an unused GPU would initialise it, which takes memory.
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def seconds_now() -> float:
    """Clock time in seconds, after waiting for the GPU, whose calls are asynchronous."""
    wait_for_gpu()
    return time.perf_counter()
