"""L2 normalisation over channels with a learnt scale.

Shapes: N images, C channels, (h, w) a feature map.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class L2Norm(nn.Module):
    """Divides the vector at each place by its length and multiplies channels by learnt scales.

    The activations of conv4_3 are some ten times those of deeper layers, and without this their
    gradients would drown those of the others. Source: arXiv 1506.04579, section 3.3; SSD starts the
    scale at 20 (arXiv 1512.02325, section 3.1), RefineDet at 10 for conv4_3 and 8 for conv5_3
    (arXiv 1711.06897, section 4).
    """

    def __init__(self, channels: int, scale: float) -> None:
        """
        Args:
            channels: C.
            scale: what the C scales start with, positive.
        """
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) -> (N, C, h, w), of the type of ``x``."""
        # In float32: 512 squares soon leave the range of float16.
        return (self.scale.view(1, -1, 1, 1) * F.normalize(x.float(), dim=1)).to(x.dtype)
