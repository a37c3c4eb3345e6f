"""Views of an image, scaled, mirrored or turned, and the mapping of detections back to it.

Pure functions and values. H, W: the image. h, w: it scaled. Boxes are (N, 4) float64 XYXY; sizes
are (h, w).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from smallobj.checks import check_choice
from smallobj.geometry.masks import CropMasks

Size = tuple[int, int]


class Turn(NamedTuple):
    """One of the eight ways to lay a rectangle: transposed first, then mirrored."""

    transpose: bool
    horizontal: bool
    vertical: bool

    def image(self, image: torch.Tensor) -> torch.Tensor:
        """(C, h, w), or (C, w, h) where transposed."""
        if self.transpose:
            image = image.transpose(1, 2)
        axes = [axis for axis, flip in ((2, self.horizontal), (1, self.vertical)) if flip]
        return image.flip(axes) if axes else image

    def size(self, size: Size) -> Size:
        """Of the image turned."""
        return size[::-1] if self.transpose else size

    def boxes(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """Boxes of an image of that size, in the frame of the turned one."""
        if self.transpose:
            boxes = boxes[:, [1, 0, 3, 2]]
        return self._mirror(boxes, self.size(size))

    def boxes_back(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """The other way round from :meth:`boxes`; ``size`` is that of the image not turned."""
        boxes = self._mirror(boxes, self.size(size))
        return boxes[:, [1, 0, 3, 2]] if self.transpose else boxes

    def masks_back(self, masks: CropMasks) -> CropMasks:
        """Masks found in the turned image, in the frame of the one not turned."""
        masks = masks.mirrored(self.horizontal, self.vertical)
        return masks.transposed() if self.transpose else masks

    def _mirror(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        x0, y0, x1, y1 = boxes.unbind(dim=1)
        if self.horizontal:
            x0, x1 = size[1] - x1, size[1] - x0
        if self.vertical:
            y0, y1 = size[0] - y1, size[0] - y0
        return torch.stack([x0, y0, x1, y1], dim=1)


AS_IT_IS = Turn(False, False, False)
TURNS = {
    "horizontal": Turn(False, True, False),
    "vertical": Turn(False, False, True),
    "both": Turn(False, True, True),
    "transpose": Turn(True, False, False),
    "clockwise": Turn(True, True, False),
    "counterclockwise": Turn(True, False, True),
    "transverse": Turn(True, True, True),
}


class SizeRule(NamedTuple):
    """Keeps boxes whose shorter ("min") or longer ("max") side is "<" or ">" a bound, in pixels."""

    side: str
    relation: str
    bound: float

    def keeps(self, boxes: torch.Tensor) -> torch.Tensor:
        """(N,) bool of boxes (N, 4) in the photograph's frame."""
        sides = boxes[:, 2:] - boxes[:, :2]
        length = sides.amin(dim=1) if self.side == "min" else sides.amax(dim=1)
        return length < self.bound if self.relation == "<" else length > self.bound


@dataclass(frozen=True)
class View:
    """One pass of test-time augmentation.

    Attributes:
        scale: of the image's longer and shorter side.
        turn: after scaling.
        rules: of boxes found in this view, all are to be kept.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    turn: Turn = AS_IT_IS
    rules: tuple[SizeRule, ...] = ()

    def scaled_size(self, size: Size) -> Size:
        """(h, w) of an image (H, W) scaled, at least a pixel."""
        longer, shorter = self.scale
        factors = (shorter, longer) if size[0] < size[1] else (longer, shorter)
        height, width = (max(round(n * f), 1) for n, f in zip(size, factors, strict=True))
        return height, width

    def boxes(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """Boxes of the image (H, W) in this view's frame."""
        scaled = self.scaled_size(size)
        return self.turn.boxes(_stretch(boxes, size, scaled), scaled)

    def boxes_back(self, boxes: torch.Tensor, size: Size, frame: Size) -> torch.Tensor:
        """Boxes of this view of an image (H, W), in a frame into which the image is stretched."""
        scaled = self.scaled_size(size)
        return _stretch(self.turn.boxes_back(boxes, scaled), scaled, frame)

    def masks_back(self, masks: CropMasks, frame: Size) -> CropMasks:
        """Masks of this view in a frame into which the image is stretched."""
        return self.turn.masks_back(masks).resized(frame)

    def keeps(self, boxes: torch.Tensor) -> torch.Tensor:
        """(N,) bool: what all rules keep."""
        kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        for rule in self.rules:
            kept &= rule.keeps(boxes)
        return kept


def _stretch(boxes: torch.Tensor, size: Size, target: Size) -> torch.Tensor:
    # Multiplied first: a side of 30 px at 0.6 is 18 then and back, not 18.000000000000004.
    new = boxes.new_tensor([target[1], target[0]]).repeat(2)
    return boxes * new / boxes.new_tensor([size[1], size[0]]).repeat(2)


# RefineDet's multi-scale tests (arXiv 1711.06897, section 4.4), with the numbers of its release:
# scale, and which boxes count. Sides there are those of PASCAL's and COCO's images, about 500 px,
# counted with both end pixels.
_REFINEDET_320: list[tuple[Any, str]] = [
    (1.0, ""),
    ((1.0, 0.6), ""),
    (0.6, "max>32"),
    (1.2, "min<160"),
    (1.4, "min<128"),
    (1.6, "min<96"),
    (1.8, "min<64"),
    (2.2, "min<32"),
]
_REFINEDET_512: list[tuple[Any, str]] = [
    (1.0, ""),
    ((1.0, 0.75), ""),
    (0.5, ""),
    (0.75, ""),
    (1.5, "min<192"),
    (1.75, "min<128"),
]
PRESETS = {
    "refinedet320": _REFINEDET_320,
    "refinedet320_coco": [*_REFINEDET_320, (2.0, "min<48")],
    "refinedet512": _REFINEDET_512,
    "refinedet512_coco": [
        *_REFINEDET_512,
        (1.25, "min<224"),
        (2.0, "min<96"),
        (2.25, "min<64"),
    ],
}


def preset_views(name: str) -> list[View]:
    """The passes of a published test, each as it is and mirrored left to right.

    Raises:
        ValueError: there is no such preset.
    """
    check_choice("TEST.TTA.PRESET", name, ("", *sorted(PRESETS)))
    scales, keep = zip(*PRESETS[name], strict=True)
    return make_views(scales, ["horizontal"], keep)


def make_views(scales: Sequence[Any], flips: Sequence[str], keep: Sequence[str]) -> list[View]:
    """A view at each scale as it is, and one for each way to turn it, in this order.

    Args:
        scales, flips, keep: as the keys TEST.TTA.SCALES, FLIPS and KEEP.

    Raises:
        ValueError: no scale, one that isn't positive, another flip or rule, something twice, or
            rules for another number of scales.
    """
    if not scales:
        raise ValueError("TEST.TTA.SCALES must name a scale at least; got ()")
    unknown = [flip for flip in flips if flip not in TURNS]
    if unknown or len(set(flips)) < len(flips):
        raise ValueError(f"TEST.TTA.FLIPS must be some of {list(TURNS)}; got {list(flips)}")
    if keep and len(keep) != len(scales):
        raise ValueError(
            "TEST.TTA.KEEP must be () or hold a text for each of TEST.TTA.SCALES; "
            f"got {len(keep)} for {len(scales)} scales"
        )
    pairs = [_scale(scale) for scale in scales]
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"TEST.TTA.SCALES must differ; got {list(scales)}")
    turns = [AS_IT_IS, *(TURNS[flip] for flip in flips)]
    rules = [_rules(text) for text in keep] or [()] * len(pairs)
    return [
        View(scale, turn, rule) for scale, rule in zip(pairs, rules, strict=True) for turn in turns
    ]


def _scale(scale: Any) -> tuple[float, float]:
    pair = tuple(scale) if isinstance(scale, (list, tuple)) else (scale, scale)
    good = len(pair) == 2 and all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and 0 < one < float("inf")
        for one in pair
    )
    if not good:
        raise ValueError(
            "TEST.TTA.SCALES must hold positive numbers, or pairs of them for the longer and the "
            f"shorter side; got {scale!r}"
        )
    return float(pair[0]), float(pair[1])


def _rules(text: Any) -> tuple[SizeRule, ...]:
    rules = []
    for part in str(text).split(",") if text else []:
        match = re.fullmatch(r"\s*(min|max)\s*([<>])\s*(\d+(?:\.\d+)?)\s*", part)
        if match is None:
            raise ValueError(
                'TEST.TTA.KEEP must hold texts like "min<96", "max>32", "min>8,max<64" or ""; '
                f"got {text!r}"
            )
        rules.append(SizeRule(match[1], match[2], float(match[3])))
    return tuple(rules)
