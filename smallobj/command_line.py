"""Common parts of this project's commands.

A command parses and checks its arguments first, and imports torch and Detectron2 only in the
function that does the work. So --help and most errors in the arguments appear at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence

from smallobj.checks import check_between, check_device_kind, check_file, check_pairs, check_path
from smallobj.config_files import find_config
from smallobj.detectron2_compat import MISSING
from smallobj.image_paths import IMAGE_ENDINGS

BAD_INPUT = 2
# A shell's exit status of a command that Ctrl-C ended.
INTERRUPTED = 130
_TELLS_DEFAULT = re.compile(r"\bdefault(: | of )|%\(default\)s")


class HelpWithDefaults(argparse.RawDescriptionHelpFormatter):
    """Help that says the default of each option that has one; the description stays as it is.

    It adds "(default: VALUE)" unless the option's own words tell the default.
    """

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = action.default
        # Switches are off, which needs no words; nothing is said of what has no default.
        if isinstance(default, bool) or default in (None, "", [], (), argparse.SUPPRESS):
            return text
        if not action.option_strings or _TELLS_DEFAULT.search(text):
            return text
        shown = " ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
        return f"{text} (default: {shown.replace('%', '%%')})"


def run_command(script: str, action: Callable[[], int | None]) -> int:
    """Runs a command; prints a message for a user error instead of a traceback.

    Args:
        script: the command's file name, with which the message starts.
        action: does the work; ValueError and OSError are user errors, anything else is a bug.

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
    """Checks a config file's existence and the number of KEY VALUE words, without reading either.

    Raises:
        FileNotFoundError: the config file does not exist.
        ValueError: a key has no value, or the config file is a web address.
    """
    if config_file:
        find_config(config_file)
    check_pairs(opts)


def add_label_rules(parser: argparse.ArgumentParser) -> None:
    """Adds --rules, --max-outside and --drop-bad-boxes: what is done about bad labels."""
    rules_help = "what is done about labels that break a rule: error, fix or drop; rule all stands "
    rules_help += "for every other rule (check.py --list-rules names the rules and their defaults)"
    parser.add_argument("--rules", nargs="+", default=[], metavar="RULE=ACTION", help=rules_help)
    outside_help = "largest share of a box's area beyond the image's edge that is clipped away"
    outside_help += " (default: 0.75)"
    parser.add_argument("--max-outside", type=float, metavar="SHARE", help=outside_help)
    bad_help = "short for --rules all=drop: leave out what breaks a rule instead of stopping"
    parser.add_argument("--drop-bad-boxes", action="store_true", help=bad_help)


def label_rules(args: argparse.Namespace) -> list[str]:
    """The choices of :func:`add_label_rules` as DATASETS.RULES takes them."""
    return [*(["all=drop"] if args.drop_bad_boxes else []), *args.rules]


def check_detector_options(args: argparse.Namespace) -> None:
    """As :func:`check_config_options`, and checks --confidence-threshold and --device.

    Raises:
        FileNotFoundError: the config file does not exist.
        ValueError: a key has no value, or the threshold or the device is wrong.
    """
    check_config_options(args.config_file, args.opts)
    check_between("--confidence-threshold", args.confidence_threshold, 0, 1)
    if args.device and "MODEL.DEVICE" not in args.opts[::2]:
        check_device_kind(args.device)


def add_results_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how results of other tools are to be understood."""
    group = parser.add_argument_group("results of other tools")
    ids_help = "what image_id of COCO results is: an id of the labels, or the name of an image file"
    group.add_argument("--image-ids", choices=("id", "name"), default="", help=ids_help)
    ids_help = "what category_id of COCO results is: an id of the labels, or the number of a class "
    ids_help += "from 0 or from 1 (default of both: what fits)"
    group.add_argument("--category-ids", choices=("id", "0", "1"), default="", help=ids_help)
    drop_help = "leave out results of images that the labels do not have"
    group.add_argument("--drop-unknown-images", action="store_true", help=drop_help)


def check_labels_and_results(labels: str, *results: str, classes: str = "") -> None:
    """Checks that the files of ``--gt`` and of detections exist, without reading them.

    Args:
        labels: a COCO file, or a dataset's entry "NAME=FORMAT:...", which is not checked.
        results: files or folders of detections.
        classes: file of class names for folders of YOLO results.

    Raises:
        FileNotFoundError: a file or folder does not exist.
        ValueError: there are class names, and no folder that they could be for.
    """
    if classes:
        check_file("file of class names", classes)
        if not any(map(os.path.isdir, results)):
            raise ValueError(
                f"--classes goes with a folder of YOLO .txt files; got {', '.join(results)}"
            )
    if labels.endswith(".json") and "=" not in labels:
        check_file("label file", labels)
    for path in results:
        check_path("results file or folder", path)


# Files of a folder that are labels, by the format of a dataset's entry.
_LABEL_ENDINGS = {"yolo": (".txt",), "labelme": (".json",)}


def files_read(*words: str | os.PathLike[str] | None, labels: str = "") -> Iterator[str]:
    """Files that a command reads, for :func:`smallobj.whole_file.check_outputs`.

    Args:
        words: files; folders, of which the images are read; datasets' entries
            "NAME=FORMAT:LABELS:IMAGES"; and other words, which name no file.
        labels: format of the label files that folders hold as well.
    """
    for word in (os.fspath(word) for word in words if word):
        if os.path.isdir(word):
            for folder, _, names in os.walk(word):
                kept = (*IMAGE_ENDINGS, *_LABEL_ENDINGS.get(labels, ()))
                yield from (os.path.join(folder, n) for n in names if n.lower().endswith(kept))
        elif os.path.isfile(word):
            yield word
        elif "=" in word:
            form, *parts = word.split("=", 1)[1].split(":")
            # A path may hold a colon of its own.
            yield from files_read(*parts, ":".join(parts), labels=form)
