"""A count of the passes in which a network computes NaN or infinite values.

Detectron2 drops such boxes without a word, so a network that overflows finds nothing.
"""

from __future__ import annotations

from typing import Any

import torch


class FiniteCheck:
    """Counts, on the network's device, passes with values that aren't finite."""

    def __init__(self) -> None:
        self._passes: Any = 0

    def __call__(self, outputs: Any) -> None:
        """Looks at a pass.

        Args:
            outputs: float32 tensors, in lists or tuples.
        """
        # A sum reads each value once, and a single one that isn't finite shows in it.
        total = sum(tensor.sum() for tensor in _tensors(outputs))
        if isinstance(total, torch.Tensor):
            self._passes = self._passes + ~total.isfinite()

    def take(self) -> int:
        """The number of passes since the last call."""
        count, self._passes = int(self._passes), 0
        return count


def _tensors(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for output in outputs for tensor in _tensors(output)]
