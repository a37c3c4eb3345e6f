"""Reading checkpoint files without running code from them."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from smallobj.checkpoint.class_rows import CLASS_NAMES_KEY, names_of
from smallobj.checkpoint.darknet import DARKNET_SUFFIX
from smallobj.checkpoint.fit import some_of

TORCH_SUFFIXES = (".pth", ".pt")
SAFETENSORS_SUFFIX = ".safetensors"
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")

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


class BrokenFileError(ValueError):
    """A file whose content can't be read, such as one that was cut off."""


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Returns:
        {"model": {name: tensor}}, and everything else that was saved with the model; of a
        .safetensors that is "class_names", where its metadata have them.

    Raises:
        FileNotFoundError, UnsafeFileError: as in ``SafeCheckpointer.load``.
        BrokenFileError: the file is broken, or a tensor of the model has a value that isn't finite.
        ValueError: as there; also for Darknet's weights, which have no names.
    """
    path = os.fspath(path)
    check_weights_path(path)
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
    others = [str(k) for k, v in model.items() if not isinstance(v, torch.Tensor)]
    if others:
        raise ValueError(f"{path}: not tensors: {some_of(others)}; expected a dict of tensors")
    _check_finite(model, path)
    return checkpoint


def _check_finite(tensors: dict[str, torch.Tensor], path: str) -> None:
    bad = [
        f"{name} ({int((~tensor.isfinite()).sum())} of {tensor.numel()} values)"
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if bad:
        raise BrokenFileError(
            f"{path}: {len(bad)} of {len(tensors)} tensors hold NaN or infinite values: "
            f"{some_of(bad)}. A model with such weights finds nothing. The training that wrote "
            "them diverged, or the file was damaged; use an earlier checkpoint"
        )


def check_weights_path(path: str) -> None:
    """Checks that a path names a local file of a safe format.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeFileError: reading a file of this kind could run code.
        ValueError: the path is a web address.
    """
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


def _read_torch(path: str, mmap: bool = False) -> Any:
    # Only the newer of torch's two formats, a zip, can be mapped into memory.
    mmap = mmap and zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise UnsafeFileError(
            path, f"it holds more than tensors and plain values ({_reason(error)})"
        ) from error
    except Exception as error:  # a broken file fails in many ways, from zip to unicode
        if "TorchScript" in str(error):
            raise UnsafeFileError(path, "it is a TorchScript program") from error
        raise BrokenFileError(f"{path}: not readable as weights: {_reason(error)}") from error


def read_class_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of a weight file's classes, [] where it has none; without reading its tensors.

    Raises:
        FileNotFoundError, UnsafeFileError, ValueError: as :func:`read_checkpoint`.
    """
    path = os.fspath(path)
    check_weights_path(path)
    suffix = Path(path).suffix.lower()
    if suffix == DARKNET_SUFFIX:
        return []
    content = _read_metadata(path) if suffix == SAFETENSORS_SUFFIX else _read_torch(path, mmap=True)
    return names_of(content, path) if isinstance(content, dict) else []


def _read_metadata(path: str) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise BrokenFileError(f"{path}: not readable as safetensors: {error}") from error


def _read_safetensors(path: str) -> dict[str, Any]:
    names = names_of(_read_metadata(path), path)
    return {"model": load_file(path, device="cpu"), **({CLASS_NAMES_KEY: names} if names else {})}


def _reason(error: Exception) -> str:
    """The line of torch's page-long message that names the cause."""
    text = str(error)
    match = re.search(
        r"(?:WeightsUnpickler error:\s*|(?=Trying to load unsupported GLOBAL))(.+)", text
    )
    # Behind the cause, torch guesses how the file may have been damaged.
    line = match.group(1) if match else text.strip().split("\n")[0].split(". This is")[0]
    return line.split(" was not an allowed global")[0].strip(" .") or type(error).__name__
