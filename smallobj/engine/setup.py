"""Prepares a run's frozen config and its log: devices, datasets, number of classes."""

from __future__ import annotations

import argparse
import contextlib
import logging
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

from smallobj.checkpoint import SafeCheckpointer, read_class_names
from smallobj.checkpoint.reading import BrokenFileError
from smallobj.checkpoint.run_checkpoints import list_checkpoints
from smallobj.class_names import NamedClasses
from smallobj.config import get_cfg, load_config
from smallobj.config.given import given_keys
from smallobj.data import datasets
from smallobj.data.bit_depth import resolve_bit_depth
from smallobj.data.crowding import resolve_detection_limit
from smallobj.data.long_objects import warn_of_long_objects
from smallobj.data.yolo_anchors import resolve_yolo_anchors
from smallobj.engine.run_folder import changed_keys, evaluation_folder, write_config
from smallobj.engine.run_log import log_environment, start_log

logger = logging.getLogger(__name__)
MOST_CHANGES = 20
MOST_LINES = 8


def choose_gpus(requested: int | None, opts: Sequence[str] = ()) -> int:
    """The number of GPUs to run on; 0 is the CPU.

    Args:
        requested: --num-gpus; None takes one if there is one, and logs if there is none.
        opts: KEY VALUE pairs of the config.

    Raises:
        ValueError: more GPUs are requested than the machine has, or MODEL.DEVICE in ``opts`` asks
            for one and there is none.
    """
    found = torch.cuda.device_count()
    if requested is None:
        device = dict(zip(opts[::2], opts[1::2], strict=False)).get("MODEL.DEVICE", "")
        if found == 0 and str(device).startswith("cuda"):
            raise ValueError(f"MODEL.DEVICE {device}: PyTorch finds no GPU; give MODEL.DEVICE cpu")
        if found == 0 and not device:
            logger.warning("PyTorch finds no GPU: running on the CPU, as with --num-gpus 0")
        return min(found, 1)
    if requested > found:
        fewer = f"--num-gpus {found} at most, or " if found else ""
        raise ValueError(
            f"--num-gpus {requested} asks for more GPUs than this machine has: {found} found. "
            f"Give {fewer}--num-gpus 0 to run on the CPU."
        )
    return requested


def prepare_config(
    config_file: str,
    opts: Sequence[str],
    num_gpus: int,
    eval_only: bool = False,
    resume: bool = False,
) -> CfgNode:
    """Reads a config, registers and checks its datasets, and fills in the keys set by the data.

    Args:
        config_file: yaml file.
        opts: KEY VALUE pairs.
        num_gpus: 0 puts the model on the CPU.
        eval_only: don't read DATASETS.TRAIN; its files need not exist. The classes are those of
            MODEL.WEIGHTS, where the file names them, and those of the data are matched by name.
        resume: the classes are those of the last checkpoint in OUTPUT_DIR, if there is one.

    Returns:
        A frozen config.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_config`; or a dataset with invalid labels, a
            number of classes that differs from the data's, classes that differ from those of the
            weights, or precomputed proposals (pickles).
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
    every = list(dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)))
    if cfg.DATASETS.CHECK:
        datasets.check_datasets(cfg, needed)
        cfg = resolve_detection_limit(cfg, every if needed is None else needed)
        warn_of_long_objects(cfg, with_training=not eval_only)
    weights = _classes_of_weights(cfg, eval_only, resume)
    cfg = datasets.resolve_num_classes(cfg, needed, weights)
    if not eval_only:
        cfg = resolve_yolo_anchors(cfg)
        cfg = resolve_bit_depth(cfg)
        cfg = datasets.resolve_class_frequencies(cfg)
    cfg.freeze()
    return cfg


def _classes_of_weights(cfg: CfgNode, eval_only: bool, resume: bool) -> NamedClasses | None:
    """Classes of the weights that are evaluated or resumed; None where there are none of these."""
    if resume:
        # A broken checkpoint is left out when it is loaded, with a warning.
        found = next(_readable_classes(list_checkpoints(cfg.OUTPUT_DIR)), None)
    else:
        path = cfg.MODEL.WEIGHTS if eval_only else ""
        found = NamedClasses(read_class_names(path), path) if path else None
    if found is None:
        return None
    is_detector = cfg.MODEL.META_ARCHITECTURE != "FocusNet"
    if is_detector and not (found.names or cfg.MODEL.CLASS_NAMES):
        logger.warning(
            f"neither {found.source} nor MODEL.CLASS_NAMES names the model's classes: they are "
            "taken to be those of the data, and their order could not be checked"
        )
    return found


def _readable_classes(paths: Iterable[str]) -> Iterator[NamedClasses]:
    for path in paths:
        with contextlib.suppress(BrokenFileError):
            yield NamedClasses(read_class_names(path), path)


def setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Prepares this process for a training: the log in OUTPUT_DIR, seeds, and cuDNN.

    With ``args.resume`` it logs the keys that differ from those of the config.yaml in OUTPUT_DIR.
    """
    start_log(cfg.OUTPUT_DIR)
    log_environment(args)
    logger.info(f"training in {cfg.OUTPUT_DIR}; all keys are in config.yaml, all words in log.txt")
    log_given(args)
    if args.resume:
        log_changes(cfg)
    seed_process(cfg)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK


def log_given(args: argparse.Namespace) -> None:
    """Logs in a few lines the keys that the options and the config file set."""
    given = given_keys(args.config_file, args.opts, get_cfg())
    words = [textwrap.shorten(f"{key} {value}", 75) for key, value in given.items()]
    # A key and its value stay together.
    joined = ", ".join(word.replace(" ", "\0") for word in words)
    lines = textwrap.wrap(joined, 105, break_on_hyphens=False, break_long_words=False)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "... and more; config.yaml has all keys"]
    told = "\n  ".join(["", *lines]).replace("\0", " ")
    logger.info(f"{args.config_file}; {len(given)} keys are set by options and by the file:{told}")


def log_changes(cfg: CfgNode) -> None:
    """Logs which keys differ from the config.yaml in OUTPUT_DIR."""
    changes = changed_keys(cfg.OUTPUT_DIR, cfg)
    if changes:
        more = f"\n  and {len(changes) - MOST_CHANGES} more" * (len(changes) > MOST_CHANGES)
        shown = "\n  ".join(changes[:MOST_CHANGES])
        logger.warning(
            f"{len(changes)} config keys differ from the run's config.yaml:\n  {shown}{more}"
        )


def setup_evaluation(args: argparse.Namespace) -> CfgNode:
    """Prepares an evaluation: its config, and a folder in OUTPUT_DIR with config.yaml and the log.

    Returns:
        A frozen config, in which MODEL.WEIGHTS are the weights to test and OUTPUT_DIR is the
        evaluation's folder. The one in config.yaml keeps the given OUTPUT_DIR.

    Raises:
        FileNotFoundError, ValueError: as :func:`prepare_config`; or no weights or no test set.
    """
    cfg = prepare_config(
        args.config_file, args.opts, args.num_gpus, eval_only=True, resume=args.resume
    )
    if not cfg.DATASETS.TEST:
        raise ValueError("--eval-only needs a data set to test on; DATASETS.TEST is empty")
    weights = cfg.MODEL.WEIGHTS
    if args.resume:
        weights = SafeCheckpointer(None, cfg.OUTPUT_DIR).get_checkpoint_file()
    if not weights:
        raise ValueError(
            "--eval-only needs weights: give MODEL.WEIGHTS path/to/model.pth, or --resume to take "
            f"the last checkpoint in OUTPUT_DIR ({cfg.OUTPUT_DIR})"
        )
    folder = evaluation_folder(cfg.OUTPUT_DIR, weights)
    cfg.defrost()
    cfg.MODEL.WEIGHTS = weights
    write_config(cfg, folder)
    cfg.OUTPUT_DIR = folder
    cfg.freeze()
    start_log(folder)
    log_environment(args)
    logger.info(f"evaluating {weights} in {folder}")
    log_given(args)
    seed_process(cfg)
    return cfg


def seed_process(cfg: CfgNode) -> None:
    """Seeds the generators of random numbers by SEED, each process of several differently."""
    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED + comm.get_rank())
