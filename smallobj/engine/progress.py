"""The progress of a training in one line of the console."""

from __future__ import annotations

import datetime
import logging
import re

import torch
from detectron2.utils.events import EventStorage, EventWriter, get_event_storage

WIDTH = 110  # columns, so that the time before it fits into 120
_WINDOW = 20
logger = logging.getLogger(__name__)


class ProgressLine(EventWriter):
    """Logs iteration, losses, learning rate, speed, memory and the time left."""

    def __init__(self, max_iter: int | None, seconds: float = 0) -> None:
        """
        Args:
            max_iter: number of iterations; None if it isn't known.
            seconds: time limit of the training, SOLVER.MAX_SECONDS; 0: none.
        """
        self.max_iter = max_iter
        self.seconds = seconds
        self._written = -1

    def write(self) -> None:
        storage = get_event_storage()
        # Detectron2 writes once more after the last step, with what evaluations put in.
        over = self.max_iter is not None and storage.iter >= self.max_iter
        if over or storage.iter == self._written:
            return
        self._written = storage.iter
        logger.info(progress_line(storage, self.max_iter, self.seconds))


def progress_line(storage: EventStorage, max_iter: int | None, seconds: float = 0) -> str:
    """The line, at most WIDTH columns long; parts that aren't known are a dash.

    Losses of the stages of a cascade are summed. If they don't all fit, the largest are shown.

    Args:
        storage: of the training, with Detectron2's names.
        max_iter, seconds: as in :class:`ProgressLine`.
    """
    done = storage.iter + 1
    time = _mean(storage, "time")
    left = time * (max_iter - done) if time is not None and max_iter else None
    spent = _latest(storage, "time/spent_seconds")
    if seconds and spent is not None:
        left = max(seconds - spent, 0)
    start = f"iter {done}/{max_iter}" if max_iter else f"iter {done}"
    total = _median(storage, "total_loss")
    parts = [
        f"lr {_number(_latest(storage, 'lr'), '.2g')}",
        f"{_number(time, '.3g')} s/it",
        f"mem {_number(_memory(storage), '.1f')} GB",
        f"left {'-' if left is None else datetime.timedelta(seconds=round(left))}",
    ]
    start = f"{start} | loss {_number(total, '.4g')}"
    end = " | ".join(parts)
    room = WIDTH - len(start) - len(end) - len(" |  | ")
    losses = _fitting(_losses(storage), room)
    return " | ".join(filter(None, (start, losses, end)))


def _losses(storage: EventStorage) -> dict[str, float]:
    """Median losses by name without "loss_" and the stage of a cascade."""
    sums: dict[str, float] = {}
    for name, history in storage.histories().items():
        if "loss" in name and name != "total_loss" and "/" not in name:
            short = re.sub(r"_stage\d+$", "", name.removeprefix("loss_"))
            sums[short] = sums.get(short, 0.0) + history.median(_WINDOW)
    return sums


def _fitting(losses: dict[str, float], room: int) -> str:
    shown: list[str] = []
    for name, value in sorted(losses.items(), key=lambda item: -item[1]):
        text = f"{name} {value:.3g}"
        if sum(map(len, shown)) + len(shown) + len(text) > room:
            break
        shown.append(text)
    return " ".join(shown)


def _memory(storage: EventStorage) -> float | None:
    """Peak memory in GB: of the GPU, or without one of this process."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 1e9
    mebibytes = _latest(storage, "memory/process_peak_mib")
    return None if mebibytes is None else mebibytes * 2**20 / 1e9


def _latest(storage: EventStorage, name: str) -> float | None:
    return float(storage.history(name).latest()) if name in storage.histories() else None


def _mean(storage: EventStorage, name: str) -> float | None:
    return float(storage.history(name).avg(_WINDOW)) if name in storage.histories() else None


def _median(storage: EventStorage, name: str) -> float | None:
    return float(storage.history(name).median(_WINDOW)) if name in storage.histories() else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
