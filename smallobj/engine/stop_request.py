"""Ctrl-C and SIGTERM in a training: the iteration is finished, and a checkpoint saved."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from smallobj.data.worker_signals import SIGNALS

# Signals that follow the first one within this time are the same request: a terminal and timeout(1)
# send theirs to the whole group, and a launcher passes on its own.
SAME_REQUEST = 1.5
_current: StopRequest | None = None


class Stopped(BaseException):
    """Ends the training loop after a signal. Not an Exception, which Detectron2 would log.

    Attributes:
        status: the exit status that a shell expects, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


class StopRequest:
    """Notes SIGINT and SIGTERM instead of dying; a later second one ends the process at once.

    A context manager for the main thread; in other threads it does nothing.

    Attributes:
        number: of the first signal; 0 before it.
    """

    def __init__(
        self, first: Callable[[int], None] | None = None, last: Callable[[], None] | None = None
    ) -> None:
        """
        Args:
            first: called with the first signal's number, from another thread.
            last: called before the process ends at once, from another thread.
        """
        self.number = 0
        self._first = first
        self._last = last
        self._old: dict[int, Any] = {}
        self._writer = -1
        self._old_writer = -1

    @property
    def status(self) -> int:
        """The exit status after the signal."""
        return 128 + self.number

    def __enter__(self) -> StopRequest:
        global _current
        if threading.current_thread() is threading.main_thread():
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            # Python's own handlers wait for the main thread, which may be in a long or endless
            # operation. The numbers that arrive here are seen by a thread in any case.
            threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
            self._old_writer = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            self._old = {number: signal.signal(number, self._note) for number in SIGNALS}
            _current = self
        return self

    def __exit__(self, *_: object) -> None:
        global _current
        if self._writer < 0:
            return
        _current = None
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_writer)
        os.close(self._writer)  # ends the thread

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = self.number or number

    def _watch(self, reader: int) -> None:
        since = None
        with open(reader, "rb", buffering=0) as pipe:
            while True:
                byte = pipe.read(1)
                if not byte:
                    return
                if byte[0] not in SIGNALS:
                    continue
                now = time.monotonic()
                if since is None:
                    since = now
                    if self._first:
                        self._first(byte[0])
                elif now - since > SAME_REQUEST:
                    if self._last:
                        self._last()
                    os._exit(128 + byte[0])


def _forget_in_child() -> None:
    """A forked process must not report its own signals to its parent's watcher."""
    global _current
    if _current is not None:
        _current = None
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_in_child)


def say_that_it_stops(number: int) -> None:
    """Tells on the console, in the main process, what follows after the first signal."""
    if comm.is_main_process():
        name = signal.Signals(number).name
        print(
            f"{name}: finishing this iteration and saving a checkpoint; Ctrl-C again stops at once",
            file=sys.stderr,
            flush=True,
        )


class StopOnRequest(HookBase):
    """Ends the training after a step if any process has got a signal; the last of the hooks."""

    def after_step(self) -> None:
        own = _current.number if _current is not None else 0
        number = max(comm.all_gather(own))
        # After the last step only the evaluation is left, which looks for signals itself.
        if number and self.trainer.iter + 1 < self.trainer.max_iter:
            raise Stopped(number)


class Interruptible:
    """A loader whose loop a signal ends; for evaluations during training, in a single process.

    Several processes would wait for one another, so their evaluation runs to its end.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            if _current is not None and _current.number and comm.get_world_size() == 1:
                raise Stopped(_current.number)
            yield batch
