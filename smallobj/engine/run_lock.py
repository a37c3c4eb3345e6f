"""A lock on OUTPUT_DIR, so that two trainings never write into it at once."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from typing import TextIO

from detectron2.utils import comm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "training.lock"
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def lock_run(folder: str) -> Iterator[None]:
    """Holds a folder's lock, a file with the process's number and host; the main process's only.

    The kernel holds the lock itself, and releases it when the process ends in any way, so the
    file of a killed training blocks nothing. Without locks, as on some network drives, it logs so.

    Raises:
        ValueError: another process holds the lock, or the folder can't be written to.
    """
    with contextlib.ExitStack() as stack:
        if not comm.is_main_process():
            yield
            return
        try:
            os.makedirs(folder, exist_ok=True)
            # Appending: the holder's words must survive an attempt to get the lock.
            opened = open(os.path.join(folder, LOCK_FILE), "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValueError(
                f"OUTPUT_DIR {folder} can't be written to ({reason}); give another OUTPUT_DIR"
            ) from error
        file = stack.enter_context(opened)
        if _take(file, folder):
            # Forked processes, such as those that load data, would hold the lock on.
            os.register_at_fork(after_in_child=lambda: _close(file))
            file.truncate(0)
            since = time.strftime("%Y-%m-%d %H:%M")
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
            file.flush()
            stack.callback(file.truncate, 0)
        yield


def refuse_locked_folder(folder: str) -> None:
    """Checks that no training is running in a folder; writes nothing.

    Raises:
        ValueError: one is running.
    """
    with contextlib.suppress(OSError), open(os.path.join(folder, LOCK_FILE), "r+") as file:
        _take(file, folder, quiet=True)


def _take(file: TextIO, folder: str, quiet: bool = False) -> bool:
    """Takes the lock of an open file, if the file system has locks.

    Raises:
        ValueError: another process holds it.
    """
    reason = "this system has no flock"
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "an unknown process"
            raise ValueError(
                f"OUTPUT_DIR {folder}: another training writes into it ({holder}); wait for its "
                "end, or give another OUTPUT_DIR"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
    if not quiet:
        logger.warning(
            "%s can't be locked (%s); nothing stops a second training from writing into it",
            folder,
            reason,
        )
    return False


def _close(file: TextIO) -> None:
    with contextlib.suppress(OSError):
        file.close()
