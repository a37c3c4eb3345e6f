"""A function in a process of its own, whose end, whatever it is, ends nothing else."""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class RunFailed(Exception):
    """What happened to the process, as a sentence."""


def run_apart(function: Callable[..., Any], *args: Any, seconds: float | None = None) -> Any:
    """Calls a module's function in a fresh process and gives back what it returns.

    The processes are forks of one that has imported this package and done nothing else, so that
    starting one takes no time and none finds memory or threads of another.

    Args:
        function: of a module, with arguments and result that can be pickled.
        seconds: after which the process is killed; None never.

    Raises:
        RunFailed: the process was killed (memory, most often), or it took too long.
        Exception: what the function raised.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["smallobj", function.__module__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, args), daemon=True)
    process.start()
    sender.close()
    try:
        # A dead process closes its end, which counts as something to read.
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
    """An error in a line: that of :class:`RunFailed`, or of others their kind and first line."""
    if isinstance(error, RunFailed):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _call(sender: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    # Libraries' own, which the caller has shown or silenced already.
    warnings.simplefilter("ignore", UserWarning)
    try:
        answer = (True, function(*args))
    except Exception as error:
        answer = (False, error if _travels(error) else RunFailed(as_sentence(error)))
    sender.send(answer)
    sender.close()


def _travels(error: Exception) -> bool:
    """Whether it survives pickling; errors of other libraries often do not."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True
