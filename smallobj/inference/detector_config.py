"""Which config and which weights a detector runs with; the bundled ones where none are given."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from detectron2.config import CfgNode

from smallobj.checks import check_device_kind
from smallobj.config import load_config
from smallobj.data import datasets

_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "weights")
BUNDLED_CONFIG = os.path.join(_FOLDER, "cascade_r18_synthetic.yaml")
_WEIGHTS_KEY = "MODEL.WEIGHTS"


def prepare_detector_config(
    config_file: str | None = None,
    weights: str | None = None,
    device: str | None = None,
    opts: Sequence[str] = (),
) -> CfgNode:
    """The config of a detector that is ready to run.

    With neither config nor weights it is the bundled model's. Weights alone go with the
    config.yaml beside them, which training writes; a config's weights may lie beside it.

    Args:
        config_file: yaml file.
        weights: path; stands for MODEL.WEIGHTS, which wins when ``opts`` has it.
        device: "cpu" or "cuda"; None takes CUDA if there is any. MODEL.DEVICE in ``opts`` wins.
        opts: KEY VALUE pairs.

    Raises:
        FileNotFoundError: no such config, or the bundled model is missing.
        ValueError: as :func:`smallobj.load_config`; no weights are named; nothing says what the
            classes are; or the device isn't there.
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
        raise ValueError(_no_weights(str(config_file)))
    if "MODEL.DEVICE" not in keys:
        cfg.MODEL.DEVICE = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(cfg.MODEL.DEVICE)
    _fill_in_classes(cfg, str(config_file))
    return cfg


def _find_config(config_file: str | None, weights: str | None, has_weights_option: bool) -> str:
    if config_file:
        return config_file
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
    """The weights that a config names: as written, or else relative to the config's own folder."""
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
        raise ValueError(f"the device {device!r} was asked for and CUDA finds no GPU; give cpu")


def _fill_in_classes(cfg: CfgNode, config_file: str) -> None:
    """Fills in what the config leaves open about classes, from its datasets where they are there.

    Raises:
        ValueError: their number is open and no dataset tells it.
    """
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
                "be asked; give the config.yaml that training writes into OUTPUT_DIR, or set "
                f"MODEL.CLASS_NAMES. ({error})"
            ) from error
    if not (cfg.MODEL.CLASS_NAMES or any(numbers)):
        raise ValueError(
            f"{config_file} doesn't say what classes the model finds and names no datasets; give "
            "the config.yaml that training writes into OUTPUT_DIR, or set MODEL.CLASS_NAMES"
        )
