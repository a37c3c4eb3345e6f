"""From command line to a frozen config: devices, datasets, number of classes, logging."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from detectron2.config import CfgNode
from detectron2.engine import default_setup

from smallobj.config import load_config
from smallobj.data import datasets
from smallobj.data.yolo_anchors import resolve_yolo_anchors


def check_gpus(requested: int) -> None:
    """
    Raises:
        ValueError: more GPUs are asked for than there are.
    """
    found = torch.cuda.device_count()
    if requested > found:
        raise ValueError(
            f"--num-gpus {requested} asks for more GPUs than this machine has: {found} found. "
            "Give --num-gpus 0 to run on the CPU."
        )


def prepare_config(
    config_file: str, opts: Sequence[str], num_gpus: int, eval_only: bool = False
) -> CfgNode:
    """Reads a config, registers and checks its datasets, and fills in what follows from the data.

    Args:
        config_file: yaml file.
        opts: KEY VALUE pairs.
        num_gpus: 0 puts the model on the CPU.
        eval_only: leave DATASETS.TRAIN alone; its files need not be there.

    Returns:
        A frozen config.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_config`, or a dataset with bad labels, a
            number of classes that disagrees with the data, or precomputed proposals (pickles).
    """
    cfg = load_config(config_file, opts)
    if num_gpus == 0:
        cfg.MODEL.DEVICE = "cpu"
    if cfg.MODEL.LOAD_PROPOSALS:
        raise ValueError(
            "MODEL.LOAD_PROPOSALS is refused: Detectron2 unpickles DATASETS.PROPOSAL_FILES_*, and "
            "a pickle runs whatever code it carries"
        )
    datasets.register_from_config(cfg)
    needed = list(cfg.DATASETS.TEST) if eval_only else None
    if cfg.DATASETS.CHECK:
        datasets.check_datasets(cfg, needed)
    cfg = datasets.resolve_num_classes(cfg, needed)
    if not eval_only:
        cfg = resolve_yolo_anchors(cfg)
        cfg = datasets.resolve_class_frequencies(cfg)
    cfg.freeze()
    return cfg


def setup(args: argparse.Namespace) -> CfgNode:
    """The config of a run; makes OUTPUT_DIR, logs the environment, saves config.yaml there."""
    cfg = prepare_config(args.config_file, args.opts, args.num_gpus, args.eval_only)
    default_setup(cfg, args)
    return cfg
