"""The log of a run: everything in log.txt, and what a reader needs on the console."""

from __future__ import annotations

import logging
import os
import sys
import time
from logging.handlers import MemoryHandler
from typing import Any, TextIO

from detectron2.utils import comm

LOG_FILE = "log.txt"
# Given as ``extra`` with a record that the console doesn't show.
FILE_ONLY = {"file_only": True}
_LOGGERS = ("detectron2", "fvcore", "smallobj")
# Logger, and how messages begin that the console doesn't show; "" means all of its messages.
_FILE_ONLY = (
    ("detectron2.data.build", "Distribution of instances"),
    ("detectron2.data.build", "Using training sampler"),
    ("detectron2.data.common", ""),
    ("detectron2.utils.events", ""),  # the whole of what the progress line sums up
    ("detectron2.evaluation.evaluator", "Start inference"),
    ("detectron2.evaluation.evaluator", "Total inference"),
    ("detectron2.evaluation.testing", ""),
    ("detectron2.engine.defaults", "Evaluation results"),
    ("detectron2.engine.defaults", "Model:"),
    # With its traceback; the error itself reaches the console as the command's last words.
    ("detectron2.engine.train_loop", "Exception during training"),
)
_EVALUATORS = "smallobj.evaluation.evaluators."
_EVALUATION_PROGRESS = ("detectron2.evaluation.evaluator", "Inference done")
_SECONDS_BETWEEN = 60.0


def start_log(folder: str) -> None:
    """Logs to log.txt in a folder, and in the main process to the console.

    What was logged since :func:`start_console` goes to log.txt as well.

    Args:
        folder: created if needed. Other processes than the main one write log.txt.rank<number>.
    """
    os.makedirs(folder, exist_ok=True)
    rank = comm.get_rank()
    path = os.path.join(folder, LOG_FILE + (f".rank{rank}" if rank else ""))
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(
        logging.Formatter(
            "[%(asctime)s] %(name)s %(levelname)s: %(message)s", datefmt="%m/%d %H:%M:%S"
        )
    )
    for handler in logging.getLogger(_LOGGERS[0]).handlers:
        if isinstance(handler, MemoryHandler):
            handler.setTarget(file)
            handler.flush()
    _use_handlers(file)


def start_console() -> None:
    """Logs to the console only, until the folder of a run is known."""
    # Holds records without a target; the capacity is more than any start has.
    _use_handlers(MemoryHandler(10**6, flushLevel=logging.CRITICAL + 1))


def _use_handlers(handler: logging.Handler) -> None:
    """Replaces the handlers of the loggers by one, and in the main process by the console's too."""
    handlers = [_console(), handler] if comm.is_main_process() else [handler]
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            if isinstance(old, logging.FileHandler):
                old.close()
        for each in handlers:
            logger.addHandler(each)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False


def _console() -> logging.Handler:
    handler = _StdoutHandler()
    handler.setFormatter(_ConsoleFormatter(_with_colours()))
    handler.addFilter(_ConsoleFilter())
    return handler


class _StdoutHandler(logging.StreamHandler):
    """Writes to what ``sys.stdout`` is at the time, not to what it was when logging began."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


def _with_colours() -> bool:
    # https://no-color.org
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class _ConsoleFilter(logging.Filter):
    """Keeps from the console what only log.txt needs."""

    def __init__(self) -> None:
        super().__init__()
        self._last_progress = -float("inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "file_only", False):
            return False
        if record.levelno >= logging.WARNING:
            return not record.exc_info or not _is(record, _FILE_ONLY)
        if _is(record, (_EVALUATION_PROGRESS,)):
            now = time.monotonic()
            if now - self._last_progress < _SECONDS_BETWEEN:
                return False
            self._last_progress = now
        return not (_is(record, _FILE_ONLY) or _is_table(record))


def _is_table(record: logging.LogRecord) -> bool:
    """Whether an evaluator logs all of its figures, which the summary on the console sums up."""
    return record.name.startswith(_EVALUATORS) and "\n|" in str(record.msg)


def _is(record: logging.LogRecord, kinds: tuple[tuple[str, str], ...]) -> bool:
    message = str(record.msg)
    return any(
        (record.name == name or record.name.startswith(f"{name}.")) and message.startswith(start)
        for name, start in kinds
    )


class _ConsoleFormatter(logging.Formatter):
    """The time, the level from a warning on, and the message."""

    _COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}

    def __init__(self, colours: bool) -> None:
        super().__init__("%(message)s")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        start = time.strftime("%H:%M:%S", time.localtime(record.created))
        if record.levelno < logging.WARNING:
            return f"{self._paint(start, '2')} {text}"
        level = self._paint(record.levelname, self._COLOURS.get(record.levelno, "31"))
        return f"{self._paint(start, '2')} {level} {text}"

    def _paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours else text


def log_environment(arguments: Any) -> None:
    """Writes the command's arguments and the versions of everything to log.txt."""
    from detectron2.utils.collect_env import collect_env_info

    # It looks for a CUDA compiler, which torch warns about where there is no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    logger = logging.getLogger(__name__)
    world = f"process {comm.get_rank()} of {comm.get_world_size()}"
    logger.info("%s; arguments: %s", world, arguments, extra=FILE_ONLY)
    logger.info("environment:\n%s", collect_env_info(), extra=FILE_ONLY)
