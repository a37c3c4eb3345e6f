"""Keeps the processes that load data alive when a signal stops a training."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

from torch.utils.data import DataLoader

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds after a SIGTERM in which a training is expected to end.
_PATIENCE = 60


def outlive_signals(loader: Any) -> Any:
    """Lets a loader's processes ignore Ctrl-C, and for a minute any SIGTERM but their parent's.

    A terminal and batch systems send them to the whole group. The training finishes its iteration
    and needs their batches for it; then it ends them itself. Returns the loader.
    """
    if isinstance(loader, DataLoader):
        loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)
        loader.__class__ = _OutlivingLoader
    return loader


class _OutlivingLoader(DataLoader):
    """Starts its processes with both signals blocked, until they are ready to ignore them."""

    def __iter__(self) -> Any:
        with signals_blocked():
            return super().__iter__()


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Blocks SIGINT and SIGTERM in this thread, and so in the processes that it starts.

    They wait until they are received: here at the end of the block, in a process that was started
    when it calls :func:`receive_signals`.
    """
    # Otherwise it starts with the first spawned process, and then unblocks the signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def receive_signals() -> None:
    """Ends the blocking that a process was started with."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _start_worker(start: Callable[[int], None] | None, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_when_told, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    else:  # macOS
        receive_signals()
    if start is not None:
        start(number)


def _end_when_told() -> None:
    """Ends the process at a SIGTERM from its parent, or some time after one from elsewhere."""
    told: signal.struct_siginfo | None = signal.sigwaitinfo([signal.SIGTERM])
    end = time.monotonic() + _PATIENCE
    # The parent's may have merged with another one before this process was ready.
    while told is not None and told.si_pid != os.getppid():
        told = signal.sigtimedwait([signal.SIGTERM], max(end - time.monotonic(), 0))
    os._exit(0)
