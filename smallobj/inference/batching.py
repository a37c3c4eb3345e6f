"""Running a model over a stream of inputs, in batches that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from smallobj.checks import check_at_least

logger = logging.getLogger(__name__)

Item = dict[str, Any]


def stream_through(detector: Any, items: Iterable[Item]) -> Iterator[Item]:
    """Yields outputs in order: from the detector's ``stream``, which batches, or one by one."""
    if hasattr(detector, "stream"):
        yield from detector.stream(items)
        return
    for item in items:
        with torch.no_grad():
            outputs = detector([item])
        yield outputs[0]


class BatchRunner:
    """Runs a model on batches of consecutive inputs that have the same shape, without padding.

    When memory runs out, the batch size is halved permanently and the run continues.

    Attributes:
        max_pixels: most pixels in a batch, unless a single input has more.
    """

    def __init__(self, model: nn.Module, max_pixels: int) -> None:
        """
        Args:
            model: list[dict] in, list[dict] out, as Detectron2's models in evaluation mode.
            max_pixels: most pixels in a batch.

        Raises:
            ValueError: less than one pixel.
        """
        check_at_least("the pixels of a batch", max_pixels, 1)
        self.model = model
        self.max_pixels = max_pixels

    def __call__(self, inputs: Iterable[Item]) -> Iterator[Item]:
        """
        Args:
            inputs: dicts with "image" (C, h, w), read one batch ahead of the outputs.

        Yields:
            The model's output for each input, in order.

        Raises:
            RuntimeError: memory runs out with a single input.
        """
        group: list[Item] = []
        for item in inputs:
            if group and (
                len(group) >= self.batch_size(item)
                or item["image"].shape != group[0]["image"].shape
            ):
                yield from self._run(group)
                group = []
            group.append(item)
        if group:
            yield from self._run(group)

    def batch_size(self, item: Item) -> int:
        """The most inputs of this one's size that fit into a batch."""
        return max(self.max_pixels // _pixels(item), 1)

    def _run(self, group: list[Item]) -> Iterator[Item]:
        start = 0
        while start < len(group):
            batch = group[start : start + self.batch_size(group[0])]
            outputs = self._try(batch)
            if outputs is None:
                self._halve(batch)
                continue
            yield from outputs
            start += len(batch)

    def _try(self, batch: list[Item]) -> list[Item] | None:
        """The model's outputs, or None if memory ran out."""
        try:
            with torch.no_grad():
                return self.model(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                height, width = batch[0]["image"].shape[-2:]
                raise RuntimeError(
                    f"out of memory with a single input of {width}x{height} pixels; "
                    "lower TEST.TILE.SIZE"
                ) from error
        # Outside the handler, whose traceback keeps the failed batch's tensors alive.
        return None

    def _halve(self, batch: list[Item]) -> None:
        half = (len(batch) + 1) // 2
        self.max_pixels = half * _pixels(batch[0])
        logger.warning(
            "out of memory with %d inputs in a batch; going on with %d", len(batch), half
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _pixels(item: Item) -> int:
    return item["image"].shape[-2] * item["image"].shape[-1]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # PyTorch's CPU allocator and cuDNN raise a plain RuntimeError.
    message = str(error)
    return any(
        words in message
        for words in ("can't allocate memory", "not enough memory", "CUDNN_STATUS_ALLOC_FAILED")
    )
