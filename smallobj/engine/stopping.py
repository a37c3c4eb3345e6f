"""How a stopped training ends: the words for the user, and the processes of several GPUs."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shlex
import sys
from collections.abc import Iterator

from detectron2.utils import comm
from torch.multiprocessing import ProcessExitedException

from smallobj.data.worker_signals import signals_blocked
from smallobj.engine.stop_request import StopRequest
from smallobj.engine.trainer import Trainer

logger = logging.getLogger(__name__)


def say_how_to_continue(trainer: Trainer) -> None:
    """Logs where a stopped training is saved, and the command that continues it.

    All processes return from here together, when the checkpoint is written.
    """
    comm.synchronize()
    if not comm.is_main_process():
        return
    saved = os.path.basename(trainer.checkpointer.get_checkpoint_file())
    if trainer.iter >= trainer.max_iter:
        logger.info(f"stopped in the evaluation after the training, which is complete: {saved}")
        return
    words = sys.argv if "--resume" in sys.argv else [sys.argv[0], "--resume", *sys.argv[1:]]
    logger.info(
        f"stopped after iteration {trainer.iter} and saved {saved}; continue with\n"
        f"  python {shlex.join(words)}"
    )


@contextlib.contextmanager
def stopping_together() -> Iterator[None]:
    """Passes SIGINT and SIGTERM of a launching process on to the processes that train.

    They save a checkpoint and end; a second signal kills them. They start with both signals blocked
    and have to call :func:`receive_signals`. If one of them fails, this process ends with the same
    exit status, since the error was told there.
    """

    def pass_on(number: int) -> None:
        for child in multiprocessing.active_children():
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    def kill() -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with StopRequest(pass_on, kill) as request:
        try:
            with signals_blocked():
                yield
        except ProcessExitedException as error:
            sys.exit(request.status if request.number else error.exit_code)
        if request.number:
            sys.exit(request.status)
