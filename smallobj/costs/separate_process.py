"""Calling a function in a separate process, whose failure does not affect this one."""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class RunFailed(Exception):
    """The process failed; the message is a sentence that says how."""


def run_apart(function: Callable[..., Any], *args: Any, seconds: float | None = None) -> Any:
    """Calls a module-level function in a new process and returns its result.

    The processes are forks of one that has only imported this package. So they start quickly, and
    share no memory or threads with each other.

    Args:
        function: function of a module; it, its arguments and its result must be picklable.
        seconds: time limit after which the process is killed; None: no limit.

    Raises:
        RunFailed: the process was killed (usually for lack of memory), or took too long.
        Exception: the exception that the function raised.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["smallobj", function.__module__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, args), daemon=True)
    process.start()
    sender.close()
    try:
        # If the process dies, its end of the pipe closes, and poll returns too.
        if not receiver.poll(seconds):
            raise RunFailed(f"took longer than {seconds:g} s")
        ok, value = receiver.recv()
    except EOFError:
        process.join()
        raise RunFailed(f"the process ended with status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if not ok:
        raise value
    return value


def as_sentence(error: Exception) -> str:
    """An error as one line: the message of :class:`RunFailed`; of others type and first line."""
    if isinstance(error, RunFailed):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _call(sender: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    # Warnings of libraries, which the caller has already shown or silenced.
    warnings.simplefilter("ignore", UserWarning)
    try:
        answer = (True, function(*args))
    except Exception as error:
        answer = (False, error if _is_picklable(error) else RunFailed(as_sentence(error)))
    sender.send(answer)
    sender.close()


def _is_picklable(error: Exception) -> bool:
    """Whether it survives pickling; errors of other libraries often do not."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True
