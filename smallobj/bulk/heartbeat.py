"""A thread that reports the progress of a process, and shows the progress bar of all."""

from __future__ import annotations

import contextlib
import sys
import threading
import time

import torch.distributed as dist
from tqdm import tqdm

from smallobj.bulk.ranks import STARTING, WORKING, Board, Status

_BEAT_SECONDS = 1.0
_LOG_SECONDS = 30.0


class Heartbeat(threading.Thread):
    """Posts this process's status every second; process 0 shows a progress bar of all processes."""

    def __init__(self, board: Board, index: int, status: Status, total: int, initial: int) -> None:
        """
        Args:
            board: where the status is posted.
            index: number of this process.
            status: status of this process; the caller keeps it up to date.
            total, initial: number of images in the run, and how many of them were done before.
        """
        super().__init__(daemon=True)
        self._board = board
        self._index = index
        self._status = status
        self._initial = initial
        self._begun = time.monotonic()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        is_first = index == 0
        # One line per second would be too much for the log file of a long run.
        interval = _BEAT_SECONDS if sys.stderr.isatty() else _LOG_SECONDS
        self._bar = tqdm(
            total=total, initial=initial, unit="image", mininterval=interval, disable=not is_first
        )

    def post(self) -> None:
        """Posts the status now."""
        with self._lock:
            self._status.beat += 1
            if self._status.state == WORKING:
                self._status.seconds = time.monotonic() - self._begun
            self._board.post(self._index, self._status)

    def finish(self, state: str) -> None:
        """Posts the final state."""
        with self._lock:
            self._status.seconds = time.monotonic() - self._begun
            self._status.state = state
        with contextlib.suppress(dist.DistError):  # without the store, nobody can read the status
            self.post()

    def read(self) -> list[Status]:
        """The last status of each process; updates the progress bar."""
        with self._lock:
            statuses = self._board.read()
            done = self._initial + sum(status.done for status in statuses)
            if done > self._bar.n:
                self._bar.update(done - self._bar.n)
        return statuses

    def wait_for_all(self) -> list[Status]:
        """Waits until no process is working, and returns their last statuses."""
        while True:
            statuses = self.read()
            if all(status.state not in (STARTING, WORKING) for status in statuses):
                return statuses
            time.sleep(_BEAT_SECONDS / 5)

    def run(self) -> None:
        """The thread's loop."""
        try:
            while not self._stopped.wait(_BEAT_SECONDS):
                self.post()
                if self._index == 0:
                    self.read()
        except dist.DistError:
            pass  # The store is gone; the next claim raises the error.

    def __enter__(self) -> Heartbeat:
        self.post()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()
        self._bar.close()
