#!/usr/bin/env python
"""Recommends tile size, overlap and anchors for a dataset, with their cost, as a config.

    python tools/plan.py --config-file configs/cascade_r18.yaml --max-tile 1024
    python tools/plan.py --config-file configs/cascade_r18.yaml --memory-mib 2000 \\
        --register "bolts=coco:bolts/train.json:bolts/images" --output output/plan.yaml \\
        --plot output/plan.png

Exit status: 0 done, 2 wrong arguments, bad labels or too small a budget.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from smallobj.checks import check_positive
from smallobj.command_line import HelpWithDefaults, check_config_options, files_read, run_command
from smallobj.config_files import find_config
from smallobj.whole_file import check_outputs

if TYPE_CHECKING:
    from detectron2.config import CfgNode

    from smallobj.planning.recommendation import Recommendation


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument("--config-file", required=True, help="config that the plan is for")
    parser.add_argument(
        "--register",
        nargs="+",
        default=[],
        metavar="SPEC",
        help="datasets to plan for, each NAME=FORMAT:ANNOTATIONS:IMAGES[:CLASSES]; "
        "default: DATASETS.TRAIN of the config",
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--max-tile",
        type=int,
        help="a pass has at most the pixels of a square with this side; default: TEST.TILE.SIZE",
    )
    budget.add_argument(
        "--memory-mib",
        type=float,
        help="instead: maximum memory of a pass, measured on this machine (CPU: whole process)",
    )
    parser.add_argument(
        "--cover",
        type=float,
        default=1.0,
        help="share of objects, the shortest ones, that lie whole in some tile; 1: all",
    )
    parser.add_argument("--output", type=Path, help="yaml to write")
    parser.add_argument("--plot", type=Path, help="picture to write, .png")
    parser.add_argument(
        "--opts", nargs="+", default=[], metavar="KEY VALUE", help="override config keys"
    )
    return parser.parse_args()


def plan(args: argparse.Namespace) -> None:
    """Reads the data, plans, prints and writes."""
    if args.max_tile is not None:
        check_positive("--max-tile", args.max_tile)
    check_config_options(args.config_file, args.opts)
    outputs = [("--output", args.output), ("--plot", args.plot)]
    check_outputs(outputs, files_read(args.config_file, *args.register))
    import torch

    from smallobj import load_config
    from smallobj.data import datasets
    from smallobj.data.survey import survey_datasets
    from smallobj.data.yolo_anchors import resolve_yolo_anchors
    from smallobj.modeling import build_model
    from smallobj.modeling.device import on_available_device
    from smallobj.planning.config_file import write_plan
    from smallobj.planning.description import describe
    from smallobj.planning.figure import draw_plan
    from smallobj.planning.recommendation import recommend

    cfg = load_config(args.config_file, args.opts)
    cfg = on_available_device(cfg)
    datasets.register_from_config(cfg)
    names = [one.name for spec in args.register for one in datasets.register_datasets(spec)]
    names = names or list(cfg.DATASETS.TRAIN)
    datasets.check_datasets(cfg, names)
    datasets.resolve_num_classes(cfg, names)
    resolve_yolo_anchors(cfg, names)
    torch.manual_seed(0)
    recommendation = recommend(
        cfg,
        build_model(cfg),
        survey_datasets(cfg, names),
        cover=args.cover,
        max_tile=args.max_tile,
        memory_mib=args.memory_mib,
    )
    print(describe(recommendation))
    for warning in plan_warnings(cfg, recommendation, names):
        print(f"warning: {warning}")
    if args.output:
        write_plan(recommendation, find_config(args.config_file), args.output)
        print(f"wrote {args.output}")
    if args.plot:
        draw_plan(recommendation, args.plot)
        print(f"wrote {args.plot}")


def plan_warnings(cfg: CfgNode, plan: Recommendation, names: list[str]) -> list[str]:
    """What the plan, which doesn't set all limits, still allows too little of."""
    from smallobj.data.crowding import limit_warnings, measure_crowding

    planned = cfg.clone()
    planned.INPUT.TILE.SIZE = plan.training_tile
    if plan.choice is not None:
        planned.TEST.TILE.SIZE, planned.TEST.TILE.OVERLAP = plan.choice.tile, plan.choice.overlap
    if plan.detections is not None:
        planned.TEST.DETECTIONS_PER_IMAGE = plan.detections
    return limit_warnings(planned, measure_crowding(planned, names))


def cli() -> int:
    """Parses arguments and plans; returns the exit status."""
    # Detectron2 0.6 calls torch.meshgrid the old way, and users cannot change that.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch|detectron2")
    return run_command("plan.py", partial(plan, parse_arguments()))


if __name__ == "__main__":
    sys.exit(cli())
