"""Prepares a run's frozen config: devices, datasets, number of classes, logging."""

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
    """Checks that the machine has enough GPUs.

    Raises:
        ValueError: more GPUs are requested than the machine has.
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
    """Reads a config, registers and checks its datasets, and fills in the keys set by the data.

    Args:
        config_file: yaml file.
        opts: KEY VALUE pairs.
        num_gpus: 0 puts the model on the CPU.
        eval_only: don't read DATASETS.TRAIN; its files need not exist.

    Returns:
        A frozen config.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_config`; or a dataset with invalid labels, a
            number of classes that differs from the data's, or precomputed proposals (pickles).
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
    """Prepares a run: its config, OUTPUT_DIR with config.yaml, and a log of the environment."""
    cfg = prepare_config(args.config_file, args.opts, args.num_gpus, args.eval_only)
    default_setup(cfg, args)
    return cfg
