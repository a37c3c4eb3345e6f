"""Matching anchors with objects by an IoU threshold that depends on the object's size.

Shapes: G objects and A anchors of an image; quality (G, A) IoU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.modeling.matcher import Matcher

from smallobj.checks import check_not_negative, check_positive


class ScaleAdaptiveMatcher(Matcher):
    """Requires a lower IoU of anchors for a small object than for a large one.

    A shift that costs an object of 100 px a tenth of its IoU costs one of 12 px more than half. So
    a common threshold leaves small objects with hardly any anchors. Here an anchor is positive when
    its IoU with the object that it overlaps most reaches

        T = base + slope log2(sqrt(w h) / size), clipped to bounds.

    It is background when its IoU with every object is below ``background``, and ignored in between.
    As always in Detectron2's RPN, the best anchor of each object is positive too.

    Source: area-based anchor mining, arXiv 2308.09534, section 3.1. Formula and constants are those
    of the paper's release, which differs from this class in two ways: there T can only lower the
    threshold ``base``, never raise it, and the best anchor of an object isn't positive as such.
    """

    def __init__(
        self,
        *,
        base: float,
        slope: float,
        size: float,
        bounds: Sequence[float],
        background: float,
    ) -> None:
        """
        Args:
            base, slope, size, bounds: parameters of T; ``size`` in pixels, ``bounds`` (low, high).
            background: in (0, low].

        Raises:
            ValueError: a value is out of range.
        """
        node = "MODEL.RPN.SCALE_ADAPTIVE"
        if not (len(bounds) == 2 and 0 < bounds[0] <= bounds[1] <= 1):
            raise ValueError(f"{node}.BOUNDS are two rising numbers in (0, 1]; got {tuple(bounds)}")
        if not 0 < background <= bounds[0]:
            raise ValueError(
                f"{node}.BACKGROUND must lie in (0, {bounds[0]}], the lower of BOUNDS; "
                f"got {background}"
            )
        check_positive(f"{node}.SIZE", size)
        check_not_negative(f"{node}.SLOPE", slope)
        super().__init__([background, bounds[1]], [0, -1, 1], allow_low_quality_matches=True)
        self.base = base
        self.slope = slope
        self.size = size
        self.bounds = tuple(bounds)

    def positive_thresholds(self, boxes: torch.Tensor) -> torch.Tensor:
        """(G,) lowest IoU of a positive anchor for each object of ``boxes``, (G, 4) XYXY pixels."""
        width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(dim=1)
        threshold = self.base + self.slope * torch.log2((width * height).sqrt() / self.size)
        return threshold.clamp(*self.bounds)

    def match(
        self, quality: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Matches as :meth:`Matcher.__call__` does, for objects with the boxes ``boxes``, (G, 4).

        Returns:
            (A,) int64 the object that each anchor overlaps most; (A,) int8 labels: 1 positive, 0
            background, -1 ignored.
        """
        objects, labels = self(quality)
        if len(boxes):
            reached = quality.amax(dim=0) >= self.positive_thresholds(boxes)[objects]
            labels[reached] = 1
        return objects, labels
