"""Loading a model's weights from a file, and saving them to one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from smallobj.checkpoint.checkpointer import SafeCheckpointer
from smallobj.checkpoint.class_rows import names_entry
from smallobj.checkpoint.fit import CONFIG_BUFFERS, Fit
from smallobj.checkpoint.reading import SAFETENSORS_SUFFIX, check_weights_path


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
    fit = Fit.of(model.state_dict(), misfits)
    if not fit.is_complete:
        raise ValueError(
            f"{path}: these weights do not fit the model that the config describes; "
            f"{fit}{fit.advice()}"
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
        if CONFIG_BUFFERS.search(name):
            continue
        narrow = half and value.is_floating_point()
        # Copied, since the format doesn't accept tensors that share memory.
        copy = value.detach().to("cpu", torch.float16 if narrow else value.dtype, copy=True)
        if narrow and not torch.equal(copy.isfinite(), value.detach().cpu().isfinite()):
            raise ValueError(f"{name} holds values beyond float16 (65504); use half=False")
        tensors[name] = copy.contiguous()
    metadata = {key: json.dumps(names) for key, names in names_entry(model).items()}
    save_file(tensors, path, metadata or None)
