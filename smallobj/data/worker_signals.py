"""Keeps the processes that load data alive when a signal stops a training."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader


def outlive_signals(loader: Any) -> Any:
    """Lets a loader's processes ignore Ctrl-C, and the first SIGTERM.

    A terminal and batch systems send them to the whole group. The training finishes its iteration
    and needs their batches for it; then it ends them itself. Returns the loader.
    """
    if isinstance(loader, DataLoader):
        loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)
    return loader


def _start_worker(start: Callable[[int], None] | None, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ignore_once)
    if start is not None:
        start(number)


def _ignore_once(*_: int | FrameType | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
