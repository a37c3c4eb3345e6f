"""Floating-point operations of a detector's forward pass, counted by operator with fvcore."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import torch
from detectron2.structures import Instances
from fvcore.nn import FlopCountAnalysis
from torch import nn

# fvcore counts a multiply-add as one operation.
_FLOPS_PER_MULTIPLY_ADD = 2
_PER_REGION = ("roi_heads",)


@dataclasses.dataclass(frozen=True)
class FlopCount:
    """Floating-point operations of one forward pass; a multiply-add counts as two.

    Convolutions, linear layers, matrix products, normalisation and interpolation are counted.
    Pooling, RoIAlign, activations, sums of feature maps, softmax, box decoding, sorting and NMS are
    not. In a convolutional detector these are together a few percent of the total.

    >>> FlopCount(height=100, width=100, dense=1e9, per_region=5e8).at(200, 100)
    2500000000.0

    Attributes:
        height, width: of the input, padded to the model's size divisibility.
        dense: operations of what runs at every pixel: backbone, FPN, and RPN head or dense heads.
        per_region: operations on proposals, which do not depend on the size of the input.
    """

    height: int
    width: int
    dense: float
    per_region: float

    @property
    def total(self) -> float:
        """Operations of the whole pass."""
        return self.dense + self.per_region

    def at(self, height: int, width: int) -> float:
        """The total at another input size, with ``dense`` scaled by the number of pixels.

        Exact for convolutions, whose cost is proportional to the (padded) input. The cost of
        attention over all pixels grows faster.
        """
        return self.dense * (height * width) / (self.height * self.width) + self.per_region


class _Traceable(nn.Module):
    """A detector with a tensor as input and tensors as output, for tracing."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        height, width = image.shape[-2:]
        outputs = self.model([{"image": image, "height": height, "width": width}])
        return tuple(t for output in outputs for t in _tensors(output))


def _tensors(output: dict[str, Any]) -> list[torch.Tensor]:
    candidates = []
    for value in output.values():
        fields = value.get_fields().values() if isinstance(value, Instances) else [value]
        candidates += [getattr(field, "tensor", field) for field in fields]
    return [field for field in candidates if isinstance(field, torch.Tensor)]


def analyse_flops(
    model: nn.Module, height: int, width: int, image: torch.Tensor | None = None
) -> FlopCount:
    """Counts the operations of a detector by running it once.

    Args:
        model: a detector with Detectron2's interface, not wrapped in tiles; its mode is kept.
        height, width: of the input; rounded up to the model's size divisibility, as in the model.
        image: (3, height, width) to run on; default: noise. The number of proposals, and so
            ``per_region``, depends on it a little.

    Raises:
        ValueError: a size is below 1, or the image has another size.
    """
    if height < 1 or width < 1:
        raise ValueError(f"an input has at least one pixel a side; got {height} x {width}")
    if image is None:
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    if image.shape[-2:] != (height, width):
        raise ValueError(
            f"the image must be {height} x {width}; got {image.shape[-2]} x {image.shape[-1]}"
        )
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            counts = _by_module(model, image)
    finally:
        model.train(was_training)
    total = counts[""]
    per_region = sum(counts.get(f"model.{name}", 0.0) for name in _PER_REGION)
    multiple = max(int(getattr(getattr(model, "backbone", None), "size_divisibility", 0)), 1)
    return FlopCount(
        height=padded(height, multiple),
        width=padded(width, multiple),
        dense=(total - per_region) * _FLOPS_PER_MULTIPLY_ADD,
        per_region=per_region * _FLOPS_PER_MULTIPLY_ADD,
    )


def _by_module(model: nn.Module, image: torch.Tensor) -> dict[str, float]:
    # fvcore would warn of every operator that it skips (see FlopCount), the tracer of constants.
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        analysis = FlopCountAnalysis(_Traceable(model), image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention)
        return dict(analysis.by_module())
    finally:
        logger.setLevel(level)


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of softmax(Q Kᵀ) V, an operator that fvcore does not know.

    Args:
        inputs: values of the tracer for Q (..., L, E), K (..., S, E) and V (..., S, D).
        outputs: (..., L, D).
    """
    query, key, value = (value.type().sizes() for value in inputs[:3])
    *batch, length, depth = query
    return math.prod(batch) * length * key[-2] * (depth + value[-1])


def count_flops(
    model: nn.Module, height: int, width: int, image: torch.Tensor | None = None
) -> float:
    """Floating-point operations (a multiply-add counts as two) of one pass over an input.

    Arguments and errors are those of :func:`analyse_flops`, which also returns the parts.
    """
    return analyse_flops(model, height, width, image).total


def padded(length: int, multiple: int) -> int:
    """A side rounded up to a multiple, as in a model with that size divisibility.

    >>> padded(100, 32)
    128
    """
    return -(-length // multiple) * multiple
