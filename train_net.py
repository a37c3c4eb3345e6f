#!/usr/bin/env python
"""Trains or evaluates a detector.

    python train_net.py --config-file configs/cascade.yaml --num-gpus 2 OUTPUT_DIR output/cascade
    python train_net.py --config-file configs/cascade_r18.yaml --num-gpus 0 --resume
    python train_net.py --config-file output/config.yaml --num-gpus 0 \\
        --eval-only MODEL.WEIGHTS output/model_best.pth

KEY VALUE pairs after the flags override keys of the config. A training needs an OUTPUT_DIR without
another training's files; an evaluation writes to OUTPUT_DIR/eval-<name of the weights>/.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from functools import partial
from typing import Any

from smallobj.command_line import HelpWithDefaults, check_config_options, run_command
from smallobj.detectron2_compat import require_detectron2


def build_parser() -> argparse.ArgumentParser:
    """The command line, that of :func:`detectron2.engine.default_argument_parser`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument("--config-file", default="", metavar="FILE", help="config (required)")
    resume_help = "continue from the last checkpoint in OUTPUT_DIR, if there is one"
    parser.add_argument("--resume", action="store_true", help=resume_help)
    parser.add_argument("--eval-only", action="store_true", help="evaluate only, without training")
    gpus_help = "number of GPUs on this machine (1, or 0 if there is none); 0 runs on the CPU"
    parser.add_argument("--num-gpus", type=int, help=gpus_help)
    parser.add_argument("--num-machines", type=int, default=1, help="number of machines")
    rank_help = "this machine's number, from 0"
    parser.add_argument("--machine-rank", type=int, default=0, help=rank_help)
    # A separate port for each user, and always the same one: processes left behind by an earlier
    # training are noticed because they occupy it.
    user = os.getuid() if sys.platform != "win32" else 1
    port = 2**15 + 2**14 + hash(user) % 2**14
    url_help = "tcp://HOST:PORT of machine 0, for the rendezvous"
    parser.add_argument("--dist-url", default=f"tcp://127.0.0.1:{port}", help=url_help)
    opts_help = "config KEY VALUE pairs; come last"
    parser.add_argument("opts", nargs=argparse.REMAINDER, default=None, help=opts_help)
    return parser


def hide_warnings() -> None:
    """Hides warnings about Detectron2's calls of torch, which users cannot change."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch|detectron2")


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """What a process runs."""
    from smallobj.engine import start_console

    start_console()
    return evaluate(args) if args.eval_only else train(args)


def main_of_several(args: argparse.Namespace) -> None:
    """What each of several processes runs; errors end as in :func:`cli`."""

    def run() -> None:
        from smallobj.engine import receive_signals

        receive_signals()
        hide_warnings()
        main(args)

    sys.exit(run_command("train_net.py", run))


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Tests MODEL.WEIGHTS, or with --resume the last checkpoint, on DATASETS.TEST."""
    from smallobj.engine import Trainer, setup_evaluation
    from smallobj.inference import load_model

    cfg = setup_evaluation(args)
    return Trainer.test(cfg, load_model(cfg))


def train(args: argparse.Namespace) -> dict[str, Any] | None:
    """Trains in OUTPUT_DIR, which is locked meanwhile."""
    from smallobj.engine import (
        Stopped,
        Trainer,
        lock_run,
        prepare_config,
        say_how_to_continue,
        setup,
        write_config,
    )

    cfg = prepare_config(args.config_file, args.opts, args.num_gpus, resume=args.resume)
    with lock_run(cfg.OUTPUT_DIR):
        setup(cfg, args)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
        # Only now: a start that fails leaves no config.yaml, and can be repeated.
        write_config(cfg, cfg.OUTPUT_DIR)
        try:
            return trainer.train()
        except Stopped as stop:
            say_how_to_continue(trainer)
            sys.exit(stop.status)


def start(args: argparse.Namespace) -> None:
    """Runs :func:`main` in a process a GPU."""
    check_config_options(args.config_file, args.opts)
    require_detectron2()
    from detectron2.engine import launch

    from smallobj.config import load_config
    from smallobj.engine import choose_gpus, refuse_used_folder, stopping_together
    from smallobj.plugins import load_plugins

    # Here already: an error in a process of several ends with its traceback.
    load_plugins()
    args.num_gpus = choose_gpus(args.num_gpus, args.opts)
    if not args.eval_only and args.machine_rank == 0:
        refuse_used_folder(load_config(args.config_file, args.opts).OUTPUT_DIR, args.resume)
    several = args.num_gpus * args.num_machines > 1
    with stopping_together() if several else contextlib.nullcontext():
        launch(
            main_of_several if several else main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )


def cli() -> int:
    """Parses arguments and launches; a user's error ends with its sentence, not a traceback."""
    parser = build_parser()
    args = parser.parse_args()
    if not args.config_file:
        parser.error("--config-file is needed, for example configs/cascade_r18.yaml")
    hide_warnings()
    return run_command("train_net.py", partial(start, args))


if __name__ == "__main__":
    sys.exit(cli())
