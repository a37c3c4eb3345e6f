"""Darknet's own weight files (.weights): a header and float32 numbers, nothing that could run.

Little-endian. Header: int32 major, minor and revision, then the number of images seen in training,
with 64 bits if 10 major + minor >= 2 (and both are below 1000), else with 32 bits. Then each
convolution in the order of the network: with BatchNorm the biases, scales, running means and
running variances, otherwise only the biases; then the kernels (outputs, inputs, height, width).
"""

from __future__ import annotations

import dataclasses
import os
import struct
from typing import Any

import numpy as np
import torch

DARKNET_SUFFIX = ".weights"
_VERSION = struct.Struct("<3i")


@dataclasses.dataclass(frozen=True)
class DarknetHeader:
    """The header of a Darknet file.

    Attributes:
        version: major, minor, revision.
        seen: number of images seen in training.
        length: length of the header in bytes.
    """

    version: tuple[int, int, int]
    seen: int
    length: int


def read_header(path: str | os.PathLike[str]) -> DarknetHeader:
    """Reads the header of a Darknet file.

    Raises:
        ValueError: the file is shorter than a header.
    """
    with open(path, "rb") as file:
        start = file.read(_VERSION.size + 8)
    if len(start) >= _VERSION.size:
        major, minor, revision = _VERSION.unpack_from(start)
        wide = 10 * major + minor >= 2 and major < 1000 and minor < 1000
        seen = struct.Struct("<Q" if wide else "<i")
        if len(start) >= _VERSION.size + seen.size:
            (count,) = seen.unpack_from(start, _VERSION.size)
            return DarknetHeader((major, minor, revision), count, _VERSION.size + seen.size)
    raise ValueError(
        f"{os.fspath(path)}: not Darknet weights: its {len(start)} bytes are less than a header"
    )


def read_darknet_weights(model: Any, path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """A state dict for a YOLOv3, or only for its backbone, from a file that Darknet wrote.

    The size of the file tells which of the two it holds. Darknet's networks see RGB; for a model
    that sees BGR the input channels of the first convolution are swapped.

    Args:
        model: a model whose ``backbone`` and ``head`` have a method ``darknet_order``, which lists
            their convolutions in Darknet's order.
        path: .weights file.

    Returns:
        {name in the model: tensor}; without the head if the file holds only the backbone.

    Raises:
        ValueError: the model isn't one of Darknet's, scales its pixels in another way than
            Darknet's networks, or has other sizes or another normalisation than the file; or the
            file is broken.
    """
    path = os.fspath(path)
    parts = [getattr(model, name, None) for name in ("backbone", "head")]
    if not all(hasattr(part, "darknet_order") for part in parts):
        raise ValueError(
            f"{path}: Darknet's weights fit MODEL.META_ARCHITECTURE YOLOv3 on "
            f"build_darknet_backbone, not {type(model).__name__}"
        )
    backbone, head = (part.darknet_order() for part in parts if part is not None)
    length, count = _length_and_count(path)
    for convolutions in (backbone, backbone + head):
        if count == _count(convolutions):
            break
    else:
        raise ValueError(_misfit(path, count, model))
    _check_model(model, convolutions, path)
    numbers = np.fromfile(path, dtype="<f4", offset=length).astype(np.float32, copy=False)
    names = {module: name for name, module in model.named_modules()}
    state: dict[str, torch.Tensor] = {}
    start = 0
    for convolution in convolutions:
        for key, tensor in _slots(convolution):
            values = numbers[start : start + tensor.numel()]
            start += tensor.numel()
            # Copied, since the tensors of a state dict must not share the memory of one array.
            state[f"{names[convolution]}.{key}"] = torch.from_numpy(values.copy()).view_as(tensor)
    _check_values(state, path)
    if model.input_format == "BGR":
        first = f"{names[convolutions[0]]}.weight"
        state[first] = state[first].flip(1)
    # BatchNorm's counters aren't in Darknet's files, and have no effect with a fixed momentum.
    counters = {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    read = tuple(f"{names[convolution]}." for convolution in convolutions)
    return state | {k: v.clone() for k, v in counters.items() if k.startswith(read)}


def _length_and_count(path: str) -> tuple[int, int]:
    """Length of the header in bytes, and the number of float32 numbers after it.

    Raises:
        ValueError: the bytes after the header aren't a multiple of 4.
    """
    length = read_header(path).length
    rest = os.path.getsize(path) - length
    if rest % 4:
        raise ValueError(
            f"{path}: not Darknet weights: {rest} bytes after a header of {length} are not a whole "
            "number of float32"
        )
    return length, rest // 4


def _slots(convolution: Any) -> list[tuple[str, torch.Tensor]]:
    """A convolution's tensors in the order of the file, with their names in the convolution."""
    norm = convolution.norm
    if norm is None:
        return [("bias", convolution.bias), ("weight", convolution.weight)]
    of_norm = ("bias", "weight", "running_mean", "running_var")
    # GroupNorm has no running statistics. For counting, its weight has the same size.
    slots = [(f"norm.{name}", getattr(norm, name, norm.weight)) for name in of_norm]
    return [*slots, ("weight", convolution.weight)]


def _count(convolutions: list[Any]) -> int:
    return sum(tensor.numel() for each in convolutions for _, tensor in _slots(each))


def _check_model(model: Any, convolutions: list[Any], path: str) -> None:
    """Checks that the model normalises features and pixels as Darknet does.

    Raises:
        ValueError: it has another normalisation or another scaling of pixels.
    """
    for convolution in convolutions:
        if convolution.norm is not None and not hasattr(convolution.norm, "running_mean"):
            raise ValueError(
                f"{path}: Darknet's weights carry BatchNorm; MODEL.DARKNET.NORM and "
                "MODEL.YOLO.NORM must be BN, SyncBN or FrozenBN, and the model has "
                f"{type(convolution.norm).__name__}"
            )
    mean, std = model.pixel_mean.flatten().tolist(), model.pixel_std.flatten().tolist()
    if any(mean) or any(value != 255 for value in std):
        raise ValueError(
            f"{path}: Darknet's networks see pixels from 0 to 1: set MODEL.PIXEL_MEAN "
            f"[0.0, 0.0, 0.0] and MODEL.PIXEL_STD [255.0, 255.0, 255.0]; got {mean} and {std}"
        )


def _check_values(state: dict[str, torch.Tensor], path: str) -> None:
    for name, tensor in state.items():
        if not tensor.isfinite().all() or (name.endswith("running_var") and (tensor < 0).any()):
            raise ValueError(
                f"{path}: broken: {name} would get values that are not finite, or a negative "
                "variance"
            )


def _misfit(path: str, count: int, model: Any) -> str:
    """The message for a file whose ``count`` of numbers fits neither the backbone nor the model."""
    backbone, head = model.backbone.darknet_order(), model.head.darknet_order()
    whole = _count(backbone + head)
    text = (
        f"{path}: holds {count} numbers; the backbone that the config describes has "
        f"{_count(backbone)}, the whole detector of {model.num_classes} classes {whole}"
    )
    # In the predicting convolutions, each class has a kernel and a bias for each prior.
    predicting = [convolution for convolution in head if convolution.activation is None]
    outputs = sum(each.out_channels * (each.in_channels + 1) for each in predicting)
    per_class = outputs // (5 + model.num_classes)
    classes, rest = divmod(count - whole, per_class)
    classes += model.num_classes
    if rest == 0 and classes > 0:
        text += f". A detector of {classes} classes has as many as the file"
    return text
