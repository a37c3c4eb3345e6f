"""The checkpoints in a run's folder from which its training can be continued."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

LAST_CHECKPOINT = "last_checkpoint"
# model_best.pth isn't one: it holds no state of the optimiser.
_RESUMABLE = re.compile(r"model_(\d{7}|final|resume_\d+)\.pth")
_logger = logging.getLogger(__name__)


def list_checkpoints(folder: str) -> list[str]:
    """Paths of a folder's checkpoints: the one that last_checkpoint names, then newest first."""
    place, named = Path(folder), _named(folder)
    if not place.is_dir():
        return []
    files = [path for path in place.iterdir() if _RESUMABLE.fullmatch(path.name)]
    files.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    first = [place / named] if named and (place / named).is_file() else []
    return [str(path) for path in (*first, *(path for path in files if path.name != named))]


def find_last_checkpoint(folder: str) -> str:
    """The path of the checkpoint that last_checkpoint names; "" if there is none in the folder.

    If last_checkpoint is missing, empty or names none, it is the newest one, with a warning.
    """
    files, named = list_checkpoints(folder), _named(folder)
    if files and os.path.basename(files[0]) != named:
        _logger.warning(
            "%s names no checkpoint that exists, but %r; the newest one is %s",
            os.path.join(folder, LAST_CHECKPOINT),
            named,
            os.path.basename(files[0]),
        )
    return files[0] if files else ""


def _named(folder: str) -> str:
    try:
        text = Path(folder, LAST_CHECKPOINT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    # A file that was not written to the end before a crash may hold zeros.
    return text.strip(" \t\r\n\0")
