"""Fingerprint of what a run's results depend on, so that runs that differ are not mixed."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from detectron2.config import CfgNode

import smallobj
from smallobj.modeling.precision import precision_at_test

Fingerprint = dict[str, Any]
# Paths and the device's name do not change the detections.
_VOLATILE_KEYS = ("OUTPUT_DIR", "MODEL.WEIGHTS", "MODEL.DEVICE")


def detector_fingerprint(cfg: CfgNode, model: torch.nn.Module, threads: int) -> Fingerprint:
    """Everything but the images that the detections of a loaded model depend on, ready for JSON.

    Args:
        cfg: config of the detector.
        model: the detector with all its wrappers, such as a focus network.
        threads: number of threads that the CPU computes with.
    """
    kind = torch.device(cfg.MODEL.DEVICE).type
    # The config holds only the paths of an ensemble's other members.
    members = [config_digest(member) for member in getattr(model, "configs", ())]
    return {
        **({"members": members} if members else {}),
        "config": config_digest(cfg),
        "weights": model_digest(model),
        "device": kind,
        # The precision that "auto" chooses depends on the processor.
        "precision": str(precision_at_test(cfg)),
        # The number of threads changes the order of summation, and so the rounding.
        "threads": threads if kind == "cpu" else None,
        "versions": [smallobj.__version__, torch.__version__],
    }


def config_digest(cfg: CfgNode) -> str:
    """SHA-256 of all keys that the results depend on."""
    stable = cfg.clone()
    stable.merge_from_list([word for key in _VOLATILE_KEYS for word in (key, "")])
    return hashlib.sha256(stable.dump().encode()).hexdigest()


def model_digest(model: torch.nn.Module) -> str:
    """SHA-256 of a model's parameters and buffers, whatever files they come from."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        # As bytes, since NumPy knows no bfloat16.
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
