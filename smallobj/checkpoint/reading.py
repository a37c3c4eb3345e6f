"""Reading checkpoint files without running code from them."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
from detectron2.checkpoint import DetectionCheckpointer
from safetensors.torch import load_file, save_file
from torch import nn

from smallobj.checkpoint.darknet import DARKNET_SUFFIX, read_darknet_weights

TORCH_SUFFIXES = (".pth", ".pt")
SAFETENSORS_SUFFIX = ".safetensors"
# They follow from the config, so files neither carry nor need them.
_CONFIG_BUFFERS = re.compile(r"(^|\.)(pixel_mean|pixel_std|cell_anchors\.\d+)$")
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_LISTED = 10

_ADVICE = (
    "Loading it could run code that the file carries. If you trust where it comes from, convert "
    "it once on a machine that holds nothing of value: unpickle it there, keep the tensors only, "
    "write them with safetensors.torch.save_file(tensors, 'weights.safetensors'), and use that "
    "file; safetensors can hold nothing but tensors."
)


class UnsafeFileError(ValueError):
    """A file that was refused because reading it could run code; nothing of it was run."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: refused, {reason}. {_ADVICE}")


class SafeCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that reads tensors and plain values only.

    Reads .pth and .pt (``torch.load(weights_only=True)``) and .safetensors from local disk, and for
    a YOLOv3 Darknet's .weights. Saves what Detectron2 saves, so that training resumes from its own
    files.

    Args:
        parts: beginnings of tensors' names ("backbone"). Where ``resume_or_load`` begins anew,
            tensors with other names are left in the file; () takes all.
        others: as Detectron2's.
    """

    def __init__(self, *others: Any, parts: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*others, **named)
        self.parts = tuple(parts)
        self._wanted: tuple[str, ...] = ()

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Loads the model and the checkpointables; an empty path loads nothing.

        Keys that do not fit the model are logged; ``load_weights`` makes them an error.

        Raises:
            FileNotFoundError: there is no such file.
            UnsafeFileError: a format or a content that could run code.
            ValueError: a web address, a file that is broken, or one without any of ``parts``.
        """
        if path:
            _check_path(path)
        # Nothing but the model: this is a beginning, not a training that goes on.
        self._wanted = self.parts if checkpointables == [] else ()
        return super().load(path, checkpointables)

    def _load_model(self, checkpoint: Any) -> Any:
        if self._wanted:
            tensors = checkpoint["model"]
            chosen = {k: v for k, v in tensors.items() if k.startswith(self._wanted)}
            if not chosen:
                raise ValueError(
                    f"MODEL.WEIGHTS_PARTS {list(self._wanted)}: no tensor in the file begins so; "
                    f"there are {_some(sorted({name.split('.')[0] for name in tensors}))}"
                )
            checkpoint = {**checkpoint, "model": chosen}
        return super()._load_model(checkpoint)

    def _load_file(self, filename: str) -> dict[str, Any]:
        if Path(filename).suffix.lower() == DARKNET_SUFFIX:
            return {"model": read_darknet_weights(self.model, filename)}
        return read_checkpoint(filename)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU: {"model": {name: tensor}, and whatever was saved beside it}.

    Raises: as ``SafeCheckpointer.load``; and ValueError for Darknet's weights, which have no names.
    """
    path = os.fspath(path)
    _check_path(path)
    suffix = Path(path).suffix.lower()
    if suffix == DARKNET_SUFFIX:
        raise ValueError(f"{path}: Darknet's weights have no names; load_weights reads them")
    content = _read_safetensors(path) if suffix == SAFETENSORS_SUFFIX else _read_torch(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a dict of tensors, found {type(content).__name__}")
    checkpoint = content if "model" in content else {"model": content}
    model = checkpoint["model"]
    if not isinstance(model, dict):
        raise ValueError(f'{path}: "model" must be a dict of tensors, got {type(model).__name__}')
    strangers = [str(k) for k, v in model.items() if not isinstance(v, torch.Tensor)]
    if strangers:
        raise ValueError(f"{path}: not tensors: {_some(strangers)}; expected a dict of tensors")
    return checkpoint


def load_weights(
    model: nn.Module, path: str | os.PathLike[str], strict: bool = True
) -> dict[str, Any]:
    """Loads a model's weights; half precision is widened to the model's own type.

    Args:
        model: changed in place, also where an error about keys is raised.
        path: .pth, .pt or .safetensors; for a YOLOv3 also Darknet's .weights.
        strict: False logs keys that do not fit instead of raising.

    Returns:
        what the file holds beside the model, for example "iteration".

    Raises:
        ValueError: the file's tensors are not the model's (up to 10 names of each kind are told).
        FileNotFoundError, UnsafeFileError: as ``SafeCheckpointer.load``.
    """
    checkpointer = SafeCheckpointer(model)
    path = os.fspath(path)
    _check_path(path)
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
    complaints = [f"{len(v)} {kind}: {_some(v)}" for kind, v in kinds.items() if v]
    if complaints:
        raise ValueError(
            f"{path}: these weights do not fit the model that the config describes; "
            + "; ".join(complaints)
        )
    return checkpoint


def save_weights(model: nn.Module, path: str | os.PathLike[str], half: bool = True) -> None:
    """Writes a model's parameters and running statistics, and nothing else, as .safetensors.

    Args:
        model: any module.
        path: must end in .safetensors.
        half: store floating-point tensors in float16 (half the size of float32).

    Raises:
        ValueError: another ending, or a value that float16 cannot hold.
    """
    path = os.fspath(path)
    if Path(path).suffix != SAFETENSORS_SUFFIX:
        raise ValueError(f"weights are written as {SAFETENSORS_SUFFIX}; got {path}")
    tensors = {}
    for name, value in model.state_dict().items():
        if _CONFIG_BUFFERS.search(name):
            continue
        narrow = half and value.is_floating_point()
        # A copy each: the format takes no tensors that share memory.
        copy = value.detach().to("cpu", torch.float16 if narrow else value.dtype, copy=True)
        if narrow and not torch.equal(copy.isfinite(), value.detach().cpu().isfinite()):
            raise ValueError(f"{name} holds values beyond float16 (65504); use half=False")
        tensors[name] = copy.contiguous()
    save_file(tensors, path)


def _check_path(path: str) -> None:
    if _ADDRESS.match(path):
        raise ValueError(
            f"{path}: weights are read from local disk only; download the file first and set "
            "MODEL.WEIGHTS to its path"
        )
    suffix = Path(path).suffix.lower()
    if suffix in (".pkl", ".pickle", ".pyth"):
        raise UnsafeFileError(path, f"{suffix} files are pickles of anything")
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "there is no such file"
        raise FileNotFoundError(f"{path}: {what}; the config key MODEL.WEIGHTS names the weights")
    known = (*TORCH_SUFFIXES, SAFETENSORS_SUFFIX, DARKNET_SUFFIX)
    if suffix not in known:
        raise UnsafeFileError(path, f"weights end in {', '.join(known)} and this in {suffix!r}")


def _read_torch(path: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeFileError(
            path, f"it holds more than tensors and plain values ({_reason(error)})"
        ) from error
    except Exception as error:  # a broken file fails in many ways, from zip to unicode
        if "TorchScript" in str(error):
            raise UnsafeFileError(path, "it is a TorchScript program") from error
        raise ValueError(f"{path}: not readable as weights: {_reason(error)}") from error


def _read_safetensors(path: str) -> dict[str, torch.Tensor]:
    try:
        return load_file(path, device="cpu")
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not readable as safetensors: {error}") from error


def _reason(error: Exception) -> str:
    """The one line of torch's page-long message that says what it met."""
    text = str(error)
    found = re.search(
        r"(?:WeightsUnpickler error:\s*|(?=Trying to load unsupported GLOBAL))(.+)", text
    )
    line = found.group(1) if found else text.strip().split("\n")[0]
    return line.split(" was not an allowed global")[0].strip(" .") or type(error).__name__


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
