"""How this project's commands end."""

from __future__ import annotations

import sys
from collections.abc import Callable

BAD_INPUT = 2
# What a shell says of a command that Ctrl-C ended.
INTERRUPTED = 130


def run_command(script: str, action: Callable[[], int | None]) -> int:
    """Runs a command; what its user got wrong ends with a sentence, not with a traceback.

    Args:
        script: the command's file name, which the sentence begins with.
        action: does the work; ValueError and OSError are for its user, anything else is a bug.

    Returns:
        The exit status: what ``action`` returns, 0 for None, BAD_INPUT after an error,
        INTERRUPTED after Ctrl-C.
    """
    try:
        return action() or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, OSError) as error:
        print(f"{script}: {error}", file=sys.stderr)
        return BAD_INPUT
