#!/usr/bin/env python
"""Trains or evaluates a detector.

    python train_net.py --config-file configs/cascade.yaml --num-gpus 2
    python train_net.py --config-file configs/cascade_r18.yaml --num-gpus 0 --resume
    python train_net.py --config-file output/config.yaml --num-gpus 0 \\
        --eval-only MODEL.WEIGHTS output/model_best.pth

Anything that a config sets can be set behind the flags, as KEY VALUE pairs.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import smallobj  # noqa: F401  (first: makes Detectron2 import)

# isort: split
from detectron2.engine import default_argument_parser, launch
from detectron2.utils.logger import setup_logger

from smallobj.checkpoint import SafeCheckpointer, load_weights
from smallobj.engine import Trainer, check_gpus, setup
from smallobj.plugins import load_plugins


def evaluate(cfg: Any, resume: bool) -> dict[str, Any]:
    """Tests MODEL.WEIGHTS, or with ``resume`` the last checkpoint, on DATASETS.TEST."""
    if not cfg.DATASETS.TEST:
        raise ValueError("--eval-only needs a data set to test on; DATASETS.TEST is empty")
    weights = cfg.MODEL.WEIGHTS
    if resume:
        weights = SafeCheckpointer(None, cfg.OUTPUT_DIR).get_checkpoint_file()
    if not weights:
        raise ValueError(
            "--eval-only needs weights: give MODEL.WEIGHTS path/to/model.pth, or --resume to take "
            f"the last checkpoint in OUTPUT_DIR ({cfg.OUTPUT_DIR})"
        )
    model = Trainer.build_model(cfg)
    load_weights(model, weights)
    return Trainer.test(cfg, model)


def main(args: argparse.Namespace) -> dict[str, Any] | None:
    """What each process runs."""
    cfg = setup(args)
    if args.eval_only:
        return evaluate(cfg, args.resume)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def cli() -> int:
    """Parses arguments and launches; a user's error ends with its sentence, not a traceback."""
    parser = default_argument_parser(epilog=__doc__)
    args = parser.parse_args()
    if not args.config_file:
        parser.error("--config-file is needed, for example configs/cascade_r18.yaml")
    setup_logger(name="smallobj")
    try:
        # Here already: an error in a process of several ends with its traceback.
        load_plugins()
        check_gpus(args.num_gpus)
        launch(
            main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"train_net.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(cli())
