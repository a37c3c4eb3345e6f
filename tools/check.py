#!/usr/bin/env python
"""Reads datasets completely and prints every problem, or a summary of their contents.

    python tools/check.py --register "bolts=coco:bolts/train.json:bolts/images"
    python tools/check.py --config-file configs/cascade.yaml
    python tools/check.py --config-file configs/cascade.yaml --pixels

Exit status: 0 no problems, 1 problems, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from smallobj.command_line import (
    HelpWithDefaults,
    add_label_rules,
    check_config_options,
    label_rules,
    run_command,
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument(
        "--register",
        nargs="+",
        default=[],
        metavar="SPEC",
        help="datasets to check, each NAME=FORMAT:ANNOTATIONS:IMAGES[:CLASSES]",
    )
    parser.add_argument(
        "--config-file", help="check the datasets that this config trains and tests on"
    )
    add_label_rules(parser)
    list_help = "print the rules with what is done about each, and stop"
    parser.add_argument("--list-rules", action="store_true", help=list_help)
    pixels_help = "also decode every image, if the labels are good"
    parser.add_argument("--pixels", action="store_true", help=pixels_help)
    processes_help = "processes that decode (default: one per core)"
    parser.add_argument("--processes", type=int, metavar="N", help=processes_help)
    parser.add_argument(
        "--opts", nargs="+", default=[], metavar="KEY VALUE", help="override config keys"
    )
    arguments = parser.parse_args()
    if not (arguments.register or arguments.config_file or arguments.list_rules):
        parser.error("say what to check: --register, --config-file or both")
    return arguments


def list_rules() -> None:
    """Prints each rule: what is done by default, what else may be chosen, its sentence."""
    from smallobj.data.labels.readers import RULES

    for rule in RULES.values():
        others = "|".join(action for action in rule.actions if action != rule.action)
        print(f"{rule.name:24} {rule.action:5} ({others}): {rule}")


def check(arguments: argparse.Namespace) -> int:
    """Prints what the datasets hold, or all problems in them; returns the exit status."""
    if arguments.list_rules:
        list_rules()
        return 0
    check_config_options(arguments.config_file, arguments.opts)
    from smallobj import load_config
    from smallobj.data.crowding import limit_warnings, measure_crowding, training_limit
    from smallobj.data.datasets import (
        DatasetError,
        check_datasets,
        count_by_rule,
        register_datasets,
        register_from_config,
        ways_on,
    )

    try:
        # Printed below, in its place.
        logging.getLogger("smallobj.data.datasets.checks").setLevel(logging.ERROR)
        cfg = load_config(arguments.config_file or None, arguments.opts)
        cfg.DATASETS.RULES = [*cfg.DATASETS.RULES, *label_rules(arguments)]
        if arguments.max_outside is not None:
            cfg.DATASETS.MAX_OUTSIDE = arguments.max_outside
        register_from_config(cfg)
        names = [one.name for spec in arguments.register for one in register_datasets(spec)]
        if arguments.config_file:
            names += [*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]
        counts = check_datasets(cfg, names)
    except DatasetError as error:
        for problem in error.problems:
            print(problem)
        print(f"problems by rule, {len(error.problems)} in all:")
        for rule, number in count_by_rule(error.problems).items():
            print(f"{number:8d}  {rule}")
        ways = ways_on(error.problems)
        if ways:
            print(f"to go on (--rules ...): {ways}")
        return 1
    crowding = measure_crowding(cfg, list(dict.fromkeys(names)))
    for count in counts:
        print(count)
        for line in count.changes.lines():
            print(f"    {line}")
    print(crowding)
    if arguments.config_file:
        cfg.TEST.DETECTIONS_PER_IMAGE = training_limit(crowding.most, cfg)
        for warning in limit_warnings(cfg, crowding):
            print(f"warning: {warning}")
    return decode_all(cfg, names, arguments.processes) if arguments.pixels else 0


def decode_all(cfg: Any, names: Sequence[str], processes: int | None) -> int:
    """Decodes the images of datasets and prints what they are; returns the exit status."""
    from detectron2.data import DatasetCatalog

    from smallobj.data.pixel_check import check_pixels
    from smallobj.images.pixels import PixelConversion

    paths = [record["file_name"] for name in names for record in DatasetCatalog.get(name)]
    report = check_pixels(paths, PixelConversion.from_config(cfg), processes)
    for error in report.errors:
        print(error)
    print(report.table())
    if report.errors:
        total = len(report.errors) + len(report.facts)
        print(f"{len(report.errors)} of {total} images can't be decoded")
    return 1 if report.errors else 0


def main() -> int:
    """Runs the command; returns its exit status."""
    return run_command("check.py", partial(check, parse_arguments()))


if __name__ == "__main__":
    sys.exit(main())
