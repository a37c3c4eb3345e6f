"""Loading a model's weights from a file, and saving them to one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from smallobj.checkpoint.checkpointer import SafeCheckpointer
from smallobj.checkpoint.class_rows import names_entry
from smallobj.checkpoint.reading import SAFETENSORS_SUFFIX, check_weights_path, some_of

# These buffers follow from the config, so files don't contain them.
_CONFIG_BUFFERS = re.compile(r"(^|\.)(pixel_mean|pixel_std|cell_anchors\.\d+)$")


def load_weights(
    model: nn.Module, path: str | os.PathLike[str], strict: bool = True
) -> dict[str, Any]:
    """Loads a model's weights; half precision is widened to the model's own type.

    Where the file names its classes in another order than the model, they are matched by name.

    Args:
        model: changed in place, even if an error about keys is raised.
        path: .pth, .pt or .safetensors; for a YOLOv3 also Darknet's .weights.
        strict: False logs keys that do not fit instead of raising.

    Returns:
        Everything that the file holds beside the model, for example "iteration".

    Raises:
        ValueError: the file's tensors don't fit the model, of which up to 10 names of each kind
            are listed; or the file names other classes than the model.
        FileNotFoundError, UnsafeFileError: as in ``SafeCheckpointer.load``.
    """
    checkpointer = SafeCheckpointer(model)
    path = os.fspath(path)
    check_weights_path(path)
    checkpointer._need = "classes" if strict else "nothing"
    checkpoint = checkpointer._load_file(path)
    misfits = checkpointer._load_model(checkpoint)
    if not strict:
        checkpointer._log_incompatible_keys(misfits)
        return checkpoint
    reshaped = {key for key, *_ in misfits.incorrect_shapes}
    missing = [
        k for k in misfits.missing_keys if k not in reshaped and not _CONFIG_BUFFERS.search(k)
    ]
    unexpected = [k for k in misfits.unexpected_keys if not _CONFIG_BUFFERS.search(k)]
    shapes = [
        f"{key} {tuple(there)} in the file, {tuple(here)} in the model"
        for key, there, here in misfits.incorrect_shapes
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    complaints = [f"{len(v)} {kind}: {some_of(v)}" for kind, v in kinds.items() if v]
    if complaints:
        raise ValueError(
            f"{path}: these weights do not fit the model that the config describes; "
            + "; ".join(complaints)
        )
    return checkpoint


def save_weights(model: nn.Module, path: str | os.PathLike[str], half: bool = True) -> None:
    """Writes a model's parameters and running statistics, as .safetensors that names its classes.

    Args:
        model: any module.
        path: must end in .safetensors.
        half: store floating-point tensors in float16 (half the size of float32).

    Raises:
        ValueError: the path has another ending, or a value is beyond float16.
    """
    path = os.fspath(path)
    if Path(path).suffix != SAFETENSORS_SUFFIX:
        raise ValueError(f"weights are written as {SAFETENSORS_SUFFIX}; got {path}")
    tensors = {}
    for name, value in model.state_dict().items():
        if _CONFIG_BUFFERS.search(name):
            continue
        narrow = half and value.is_floating_point()
        # Copied, since the format doesn't accept tensors that share memory.
        copy = value.detach().to("cpu", torch.float16 if narrow else value.dtype, copy=True)
        if narrow and not torch.equal(copy.isfinite(), value.detach().cpu().isfinite()):
            raise ValueError(f"{name} holds values beyond float16 (65504); use half=False")
        tensors[name] = copy.contiguous()
    metadata = {key: json.dumps(names) for key, names in names_entry(model).items()}
    save_file(tensors, path, metadata or None)
