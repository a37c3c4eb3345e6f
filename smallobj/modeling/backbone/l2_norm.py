"""L2 normalisation over channels with a learnt scale.

Shapes: N images, C channels, (h, w) a feature map.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class L2Norm(nn.Module):
    """Divides the vector at each position by its length and multiplies channels by learnt scales.

    The activations of conv4_3 are about ten times those of deeper layers. Without this layer, their
    gradients would dominate. Source: arXiv 1506.04579, section 3.3. SSD initialises the scale with
    20 (arXiv 1512.02325, section 3.1), RefineDet with 10 for conv4_3 and 8 for conv5_3
    (arXiv 1711.06897, section 4).
    """

    def __init__(self, channels: int, scale: float) -> None:
        """
        Args:
            channels: C.
            scale: initial value of the C scales, positive.
        """
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) -> (N, C, h, w), with the dtype of ``x``."""
        # In float32, since a sum of 512 squares easily overflows float16.
        return (self.scale.view(1, -1, 1, 1) * F.normalize(x.float(), dim=1)).to(x.dtype)
