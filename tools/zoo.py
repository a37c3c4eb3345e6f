#!/usr/bin/env python
"""Compares all detectors: what they cost, and what they learn in the same time.

    python tools/zoo.py costs
    python tools/zoo.py train --minutes 30 --train smallobj_train --test smallobj_val \\
        --configs configs/cascade_r18.yaml configs/faster_rcnn_whole.yaml
    python tools/zoo.py table

Results are stored in --output, one file per row. Rows that exist are not computed again, and an
interrupted run continues. Exit status: 0 done, 1 a row failed (the table says why), 2 wrong
arguments.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# benchmarks/ lies beside this folder and is not part of the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contest import Contest
from smallobj.checks import check_pairs
from smallobj.command_line import HelpWithDefaults, run_command
from smallobj.config_files import find_config

if TYPE_CHECKING:
    from benchmarks.zoo import Subject

ROOT = Path(__file__).resolve().parent.parent
PHOTOGRAPH = ROOT / "datasets" / "samples" / "wood.jpg"


def costs(args: argparse.Namespace) -> int:
    """Measure parameters, operations, peak memory and time of each detector."""
    _check_configs(args)
    import torch

    from benchmarks.zoo import measure_costs

    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    subjects = [_subject(path, args) for path in _configs(args)]
    rows = measure_costs(subjects, args.output / "costs", rounds=args.rounds, limit=args.limit)
    _show(args.output)
    return int(any(row["failures"] for row in rows))


def _subject(path: Path, args: argparse.Namespace) -> Subject:
    from benchmarks.timed_training import FINAL
    from benchmarks.zoo import Subject

    config, weights = path, ""
    run = args.trained / path.stem if args.trained else None
    if run is not None and (run / FINAL).is_file():
        # The classes, and so the last layers, are those of the training.
        config, weights = run / "config.yaml", str(run / FINAL)
    photograph = str(args.photograph)
    return Subject(path.stem, str(config), photograph, weights, args.device, args.threads)


def train(args: argparse.Namespace) -> int:
    """Train each detector for the same time on the same data, and test it."""
    _check_configs(args)
    check_pairs(args.opts)
    contest = Contest(
        train=(args.train,),
        test=tuple(args.test),
        register=tuple(args.register),
        seconds=round(60 * args.minutes),
        clock=args.clock,
        seed=args.seed,
        threads=args.threads,
        gpus=args.num_gpus,
        opts=tuple(args.opts),
    )
    from benchmarks.timed_training import run_contest
    from smallobj.data import datasets

    for spec in args.register:
        datasets.register_datasets(spec)
    rows = run_contest(contest, _configs(args), args.output, ROOT / "train_net.py")
    _show(args.output)
    return int(any("failed" in row for row in rows))


def table(args: argparse.Namespace) -> int:
    """Print the tables of the results in --output."""
    _show(args.output)
    return 0


def _check_configs(args: argparse.Namespace) -> None:
    args.configs = [Path(find_config(path)) for path in args.configs]
    names = [path.stem for path in args.configs]
    if len(set(names)) < len(names):
        raise ValueError(f"configs need names of their own, got {names}")


def _configs(args: argparse.Namespace) -> list[Path]:
    from benchmarks.zoo import find_detectors

    return list(args.configs or find_detectors(ROOT / "configs"))


def _show(output: Path) -> None:
    """Prints what there is, and writes zoo.md and zoo.json."""
    from benchmarks.report import Report
    from benchmarks.zoo_tables import comparison_tables, cost_table, read_rows

    costs, results = read_rows(output / "costs"), read_rows(output / "results")
    if not costs and not results:
        raise ValueError(f"{output} has no rows yet; tools/zoo.py costs or train makes some")
    tables = [cost_table(costs, results)] if costs else []
    tables += comparison_tables(results)
    machine = costs[0]["machine"] if costs else results[0]["machine"]
    report = Report("zoo", {}, machine, tables, {"costs": costs, "results": results})
    report.write(str(output / "zoo.json"))
    (output / "zoo.md").write_text(report.markdown(), encoding="utf-8")
    print(report.markdown())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    commands = parser.add_subparsers(dest="command", required=True)
    for run in (costs, train, table):
        command = commands.add_parser(
            run.__name__, help=run.__doc__, formatter_class=HelpWithDefaults
        )
        command.set_defaults(run=run)
        command.add_argument("--output", type=Path, default=Path("output/zoo"), help="folder")
        if run is table:
            continue
        command.add_argument(
            "--configs", nargs="+", type=Path, default=[], help="default: all of configs/"
        )
        command.add_argument("--threads", type=int, default=1, help="CPU threads")
        if run is costs:
            device_help = "default: cuda if there is a GPU"
            command.add_argument("--device", choices=["cpu", "cuda"], help=device_help)
            command.add_argument("--photograph", type=Path, default=PHOTOGRAPH, help="2800 x 2100")
            command.add_argument("--rounds", type=int, default=5, help="rounds of timing")
            command.add_argument(
                "--limit", type=float, default=900, help="maximum seconds per measurement"
            )
            command.add_argument(
                "--trained",
                type=Path,
                metavar="FOLDER",
                help="folder of trained runs, for their weights",
            )
    command = commands.choices["train"]
    command.add_argument(
        "--minutes", type=float, required=True, help="training time of each detector"
    )
    command.add_argument(
        "--clock",
        default="cpu",
        choices=["cpu", "wall"],
        help="cpu: processor time, hardly affected by other programs; wall: for a GPU",
    )
    command.add_argument(
        "--register", nargs="+", default=[], metavar="SPEC", help="datasets to register"
    )
    command.add_argument("--train", required=True, metavar="NAME", help="dataset to train on")
    command.add_argument(
        "--test", required=True, nargs="+", metavar="NAME", help="datasets to test on"
    )
    command.add_argument("--seed", type=int, default=1, help="of weights and data")
    command.add_argument("--num-gpus", type=int, default=0, choices=[0, 1], help="0: CPU")
    command.add_argument(
        "--opts", nargs="+", default=[], metavar="KEY VALUE", help="config keys for all"
    )
    return parser.parse_args()


def cli() -> int:
    """Parses arguments and runs one command; returns the exit status."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch|detectron2")
    args = parse_arguments()
    return run_command("zoo.py", partial(args.run, args))


if __name__ == "__main__":
    sys.exit(cli())
