"""What this project's commands have in common.

A command parses and checks its arguments before it imports torch and Detectron2, inside the
function that does the work: so --help and most wrong arguments answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from smallobj.checks import check_between, check_device_kind, check_file, check_pairs, check_path
from smallobj.detectron2_compat import MISSING

BAD_INPUT = 2
# What a shell says of a command that Ctrl-C ended.
INTERRUPTED = 130


def run_command(script: str, action: Callable[[], int | None]) -> int:
    """Runs a command; a user's error ends with a sentence, not with a traceback.

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
    except ModuleNotFoundError as error:
        if error.name != "detectron2":
            raise
        print(f"{script}: {MISSING}", file=sys.stderr)
        return BAD_INPUT


def check_config_options(config_file: str | None, opts: Sequence[str]) -> None:
    """What can be told of a config file and KEY VALUE pairs without reading them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a key without a value.
    """
    if config_file:
        check_file("config file", config_file)
    check_pairs(opts)


def check_detector_options(args: argparse.Namespace) -> None:
    """The same for a command that detects: of --confidence-threshold and --device, too.

    Raises:
        FileNotFoundError, ValueError: as :func:`check_config_options`, or another value is wrong.
    """
    check_config_options(args.config_file, args.opts)
    check_between("--confidence-threshold", args.confidence_threshold, 0, 1)
    if args.device and "MODEL.DEVICE" not in args.opts[::2]:
        check_device_kind(args.device)


def check_labels_and_results(labels: str, *results: str) -> None:
    """What can be told of ``--gt`` and of detections without reading them.

    Args:
        labels: a COCO file, or a dataset's entry "NAME=FORMAT:...", which is left unchecked.
        results: files or folders.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if labels.endswith(".json") and "=" not in labels:
        check_file("label file", labels)
    for path in results:
        check_path("results file or folder", path)
