"""The config and weights that a detector runs with; by default those of the bundled model."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from detectron2.config import CfgNode

from smallobj.checkpoint import read_class_names
from smallobj.checks import check_device_kind
from smallobj.class_names import NamedClasses
from smallobj.config import load_config
from smallobj.config_files import find_config
from smallobj.data import datasets

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUNDLED_FOLDER = os.path.join(_PACKAGE, "weights")
BUNDLED_CONFIG = os.path.join(BUNDLED_FOLDER, "cascade_r18_synthetic.yaml")
_WEIGHTS_KEY = "MODEL.WEIGHTS"


def prepare_detector_config(
    config_file: str | None = None,
    weights: str | None = None,
    device: str | None = None,
    opts: Sequence[str] = (),
) -> CfgNode:
    """Prepares the config of a detector so that it is ready to run.

    Without a config and weights, this is the bundled model's. Given only weights, the config is the
    config.yaml beside them, which training writes. The weights that a config names may be given
    relative to its folder.

    Args:
        config_file: yaml file, or the name of a shipped config.
        weights: path of the weights; MODEL.WEIGHTS in ``opts`` takes precedence.
        device: "cpu" or "cuda"; None uses CUDA if available. MODEL.DEVICE in ``opts`` takes
            precedence.
        opts: KEY VALUE pairs.

    Raises:
        FileNotFoundError: the config does not exist, or the bundled model is missing.
        ValueError: as :func:`smallobj.load_config`; no weights are named; the classes are not
            known; or the device is not available.
    """
    keys = [str(key) for key in opts[::2]]
    weights = None if _WEIGHTS_KEY in keys else weights
    path = _find_config(config_file, weights, _WEIGHTS_KEY in keys)
    cfg = load_config(path, opts)
    if weights:
        cfg.MODEL.WEIGHTS = weights
    elif _WEIGHTS_KEY not in keys:
        cfg.MODEL.WEIGHTS = _weights_beside(path, cfg.MODEL.WEIGHTS)
    if not cfg.MODEL.WEIGHTS:
        raise ValueError(_no_weights(path))
    if "MODEL.DEVICE" not in keys:
        cfg.MODEL.DEVICE = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(cfg.MODEL.DEVICE)
    _fill_in_classes(cfg, str(config_file))
    return cfg


def _find_config(config_file: str | None, weights: str | None, has_weights_option: bool) -> str:
    if config_file:
        return find_config(config_file)
    if weights:
        beside = os.path.join(os.path.dirname(os.path.abspath(weights)), "config.yaml")
        if os.path.isfile(beside):
            return beside
    if weights or has_weights_option:
        raise ValueError(
            f"weights need their config, and there is no config.yaml beside {weights or 'them'}; "
            "give --config-file"
        )
    if not os.path.isfile(BUNDLED_CONFIG):
        raise FileNotFoundError(_no_bundle(BUNDLED_CONFIG))
    return BUNDLED_CONFIG


def _weights_beside(config_file: str, named: str) -> str:
    """The weights that a config names: as written, or else relative to the config's folder."""
    if os.path.isfile(named):
        return named
    beside = os.path.join(os.path.dirname(config_file), named)
    if named and os.path.isfile(beside):
        return beside
    if config_file == BUNDLED_CONFIG:
        raise FileNotFoundError(_no_bundle(beside))
    return named


def _no_bundle(path: str) -> str:
    return (
        f"{path}: this file of the bundled model is missing; "
        "give --config-file and --weights of a model of your own"
    )


def _no_weights(config_file: str) -> str:
    folder = os.path.dirname(config_file)
    for name in ("model_best.pth", "model_final.pth"):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return f"{config_file} names no weights; did you mean --weights {path}?"
    return f"{config_file} names no weights; give --weights path/to/model.pth"


def _check_device(device: str) -> None:
    check_device_kind(device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"the device is {device!r}, but CUDA finds no GPU; give cpu")


def _fill_in_classes(cfg: CfgNode, config_file: str) -> None:
    """Fills in the classes that the config leaves open: the weights' own, or its datasets' if any.

    Raises:
        ValueError: neither weights, config nor a dataset give the number of classes; or the config
            names other classes than the weights.
    """
    weights = cfg.MODEL.WEIGHTS
    # Whether there are such weights is found when they are loaded.
    if cfg.MODEL.META_ARCHITECTURE != "FocusNet" and os.path.isfile(weights):
        datasets.adopt_class_names(cfg, NamedClasses(read_class_names(weights), weights))
    numbers = (cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.RETINANET.NUM_CLASSES)
    if cfg.MODEL.CLASS_NAMES:
        datasets.resolve_num_classes(cfg, names=())
        return
    try:
        datasets.register_from_config(cfg)
        datasets.resolve_num_classes(cfg)
    except ValueError as error:
        if not any(numbers):
            raise ValueError(
                f"{config_file} doesn't say what classes the model finds, and its datasets can't "
                "be read; give the config.yaml that training writes into OUTPUT_DIR, or set "
                f"MODEL.CLASS_NAMES. ({error})"
            ) from error
    if not (cfg.MODEL.CLASS_NAMES or any(numbers)):
        raise ValueError(
            f"{config_file} doesn't say what classes the model finds and names no datasets; give "
            "the config.yaml that training writes into OUTPUT_DIR, or set MODEL.CLASS_NAMES"
        )
