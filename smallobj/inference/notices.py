"""What the user of a detector is told: that it is the bundled one, and what it can find."""

from __future__ import annotations

import os
from collections.abc import Sequence

from detectron2.config import CfgNode

from smallobj.inference.detector_config import BUNDLED_FOLDER

_MOST_NAMES = 12


def bundled_notice(cfg: CfgNode) -> str:
    """One line on the bundled model and what it knows; "" for another model.

    Args:
        cfg: as :func:`smallobj.inference.detector_config.prepare_detector_config` returns it.
    """
    folder = os.path.dirname(os.path.abspath(cfg.MODEL.WEIGHTS))
    if folder != BUNDLED_FOLDER:
        return ""
    return (
        f"the bundled model is used: it knows {len(cfg.MODEL.CLASS_NAMES)} classes of the 2021 "
        "Small Object AI Challenge, 10 to 100 px, and has seen rendered pictures only, no "
        "photographs; give --config-file and --weights for a model of your own"
    )


def device_notice(cfg: CfgNode, device: str | None, opts: Sequence[str]) -> str:
    """One line if nobody chose the CPU that a detector runs on; else "".

    Args:
        cfg: as :func:`smallobj.inference.detector_config.prepare_detector_config` returns it.
        device, opts: its arguments.
    """
    is_chosen = device is not None or "MODEL.DEVICE" in opts[::2]
    if is_chosen or cfg.MODEL.DEVICE != "cpu":
        return ""
    return "PyTorch finds no GPU: running on the CPU"


def nothing_found(threshold: float, class_names: Sequence[str]) -> str:
    """One line on what to do if no image has a detection."""
    names = ", ".join(class_names[:_MOST_NAMES])
    more = len(class_names) - _MOST_NAMES
    return (
        f"no object with a score of at least {threshold:g}: lower --confidence-threshold? The "
        f"model knows {names}{f' and {more} more classes' if more > 0 else ''}"
    )
