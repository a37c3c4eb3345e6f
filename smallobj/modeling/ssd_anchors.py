"""SSD's default boxes.

Shapes: L feature maps; A_l boxes at each position of map l; (h_l, w_l) positions. Boxes are XYXY in
pixels of the padded image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ANCHOR_GENERATOR_REGISTRY
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator


@ANCHOR_GENERATOR_REGISTRY.register()
class SSDAnchorGenerator(DefaultAnchorGenerator):
    """Detectron2's anchors with SSD's shapes and steps (arXiv 1512.02325, section 2.2).

    A map with scale s has boxes of sides (s, s), (s', s') with s' = sqrt(s * next s), and
    (s sqrt(a), s / sqrt(a)) and its transpose for each aspect ratio a. Their sizes in pixels don't
    depend on the size of the image: without resizing, an object has the same size in a tile of any
    size.
    """

    @configurable
    def __init__(
        self,
        *,
        input_size: int,
        scales: Sequence[float],
        aspect_ratios: Sequence[Sequence[float]],
        steps: Sequence[float],
    ) -> None:
        """
        Args:
            input_size: side in pixels that the scales refer to.
            scales: L + 1 numbers, as fractions of ``input_size``.
            aspect_ratios: L lists.
            steps: L numbers, in pixels; 0 spaces the boxes evenly over the image. The first is
                positive.

        Raises:
            ValueError: the numbers of levels don't agree, or a value is out of range.
        """
        levels = len(steps)
        if len(scales) != levels + 1 or len(aspect_ratios) != levels:
            raise ValueError(
                "MODEL.SSD.STEPS and ASPECT_RATIOS have an entry for each feature map, SCALES has "
                f"one more; got {levels}, {len(aspect_ratios)} and {len(scales)}"
            )
        if min(scales) <= 0 or any(ratio <= 0 for ratios in aspect_ratios for ratio in ratios):
            raise ValueError(
                "MODEL.SSD.SCALES and ASPECT_RATIOS are positive; "
                f"got {list(scales)} and {list(aspect_ratios)}"
            )
        if input_size <= 0 or min(steps) < 0 or steps[0] == 0:
            raise ValueError(
                "MODEL.SSD.INPUT_SIZE and the first of STEPS are positive, none is negative; "
                f"got {input_size} and {list(steps)}"
            )
        sides = [(a * input_size, b * input_size) for a, b in pairwise(scales)]
        self._input_size = input_size
        super().__init__(sizes=sides, aspect_ratios=[list(r) for r in aspect_ratios], strides=steps)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: list[ShapeSpec]) -> dict[str, Any]:
        node = cfg.MODEL.SSD
        if len(node.STEPS) != len(input_shape):
            raise ValueError(
                "MODEL.SSD.STEPS has an entry for each feature map of MODEL.SSD.IN_FEATURES; got "
                f"{len(node.STEPS)} for {len(input_shape)}"
            )
        return {
            "input_size": node.INPUT_SIZE,
            "scales": node.SCALES,
            "aspect_ratios": node.ASPECT_RATIOS,
            "steps": node.STEPS,
        }

    def generate_cell_anchors(
        self, sizes: Sequence[float], aspect_ratios: Sequence[float]
    ) -> torch.Tensor:
        """The boxes of one map, centred on the origin.

        Args:
            sizes: side of this map's square box, and of the next map's.
            aspect_ratios: width over height.

        Returns:
            (2 + 2 * len(aspect_ratios), 4): square, larger square, then a wide and a high box for
            each ratio, as in the Caffe release.
        """
        side, next_side = sizes
        mean = math.sqrt(side * next_side)
        shapes = [(side, side), (mean, mean)]
        for ratio in aspect_ratios:
            long, short = side * math.sqrt(ratio), side / math.sqrt(ratio)
            shapes += [(long, short), (short, long)]
        # No box is longer than the image that the scales were made for.
        halves = torch.tensor(shapes).clamp(max=self._input_size) / 2
        return torch.cat([-halves, halves], dim=1)

    def _grid_anchors(self, grid_sizes: list[Any]) -> list[torch.Tensor]:
        """
        Args:
            grid_sizes: L pairs (h_l, w_l).

        Returns:
            L tensors (h_l * w_l * A_l, 4), row by row.
        """
        height, width = (self._side(cells) for cells in grid_sizes[0])
        anchors = []
        for (rows, columns), step, shapes in zip(
            grid_sizes, self.strides, self.cell_anchors, strict=True
        ):
            down, across = step or height / rows, step or width / columns
            y = (torch.arange(rows, device=shapes.device) + self.offset) * down
            x = (torch.arange(columns, device=shapes.device) + self.offset) * across
            centre_y, centre_x = torch.meshgrid(y, x, indexing="ij")
            centres = torch.stack([centre_x, centre_y, centre_x, centre_y], dim=-1)
            anchors.append((centres.reshape(-1, 1, 4) + shapes).reshape(-1, 4))
        return anchors

    def _side(self, cells: int) -> float:
        """Image side in pixels, from the number of cells of the first map; exact for INPUT_SIZE."""
        step = self.strides[0]
        return self._input_size + (cells - math.ceil(self._input_size / step)) * step
