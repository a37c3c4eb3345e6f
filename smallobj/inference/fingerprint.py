"""What the results of a run depend on, so that results of another run are not mixed in."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from detectron2.config import CfgNode

import smallobj
from smallobj.modeling.precision import precision_at_test

Fingerprint = dict[str, Any]
# Paths and devices do not change detections.
_VOLATILE_KEYS = ("OUTPUT_DIR", "MODEL.WEIGHTS", "MODEL.DEVICE")


def detector_fingerprint(cfg: CfgNode, model: torch.nn.Module, threads: int) -> Fingerprint:
    """What the detections of a loaded model depend on besides the images, as plain JSON values.

    Args:
        cfg: of the detector.
        model: with its wrappers, such as a focus network.
        threads: number of CPU threads.
    """
    kind = torch.device(cfg.MODEL.DEVICE).type
    # The config names an ensemble's other members only by their paths.
    members = [config_digest(member) for member in getattr(model, "configs", ())]
    return {
        **({"members": members} if members else {}),
        "config": config_digest(cfg),
        "weights": model_digest(model),
        "device": kind,
        # "auto" depends on the processor.
        "precision": str(precision_at_test(cfg)),
        # Sums are rounded in an order that depends on the number of threads.
        "threads": threads if kind == "cpu" else None,
        "versions": [smallobj.__version__, torch.__version__],
    }


def config_digest(cfg: CfgNode) -> str:
    """SHA-256 of all keys that results depend on."""
    stable = cfg.clone()
    stable.merge_from_list([word for key in _VOLATILE_KEYS for word in (key, "")])
    return hashlib.sha256(stable.dump().encode()).hexdigest()


def model_digest(model: torch.nn.Module) -> str:
    """SHA-256 of all that a model has learned, whatever files it comes from."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        # As bytes, since NumPy knows no bfloat16.
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
