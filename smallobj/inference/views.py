"""Views of an image, scaled, mirrored or turned, and how their boxes and masks are mapped back.

Pure functions and values. H, W: size of the image. h, w: size of the scaled image. Boxes are (N, 4)
float64 XYXY; sizes are (h, w).
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
    """One of the eight symmetries of a rectangle: transposed first, then mirrored.

    >>> turn = Turn(transpose=True, horizontal=True, vertical=False)  # clockwise
    >>> turn.boxes(torch.tensor([[0.0, 0.0, 10.0, 5.0]]), (20, 30))
    tensor([[15.,  0., 20., 10.]])
    """

    transpose: bool
    horizontal: bool
    vertical: bool

    def image(self, image: torch.Tensor) -> torch.Tensor:
        """The turned image: (C, h, w), or (C, w, h) if transposed."""
        if self.transpose:
            image = image.transpose(1, 2)
        axes = [axis for axis, flip in ((2, self.horizontal), (1, self.vertical)) if flip]
        return image.flip(axes) if axes else image

    def size(self, size: Size) -> Size:
        """Size of the turned image."""
        return size[::-1] if self.transpose else size

    def boxes(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """Maps boxes of an image of this size to the frame of the turned image."""
        if self.transpose:
            boxes = boxes[:, [1, 0, 3, 2]]
        return self._mirror(boxes, self.size(size))

    def boxes_back(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """Inverse of :meth:`boxes`; ``size`` is the size of the image before turning."""
        boxes = self._mirror(boxes, self.size(size))
        return boxes[:, [1, 0, 3, 2]] if self.transpose else boxes

    def masks_back(self, masks: CropMasks) -> CropMasks:
        """Maps masks of the turned image to the frame of the image before turning."""
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
        """Whether each of the boxes (N, 4), in the image's frame, is kept: (N,) bool."""
        sides = boxes[:, 2:] - boxes[:, :2]
        length = sides.amin(dim=1) if self.side == "min" else sides.amax(dim=1)
        return length < self.bound if self.relation == "<" else length > self.bound


@dataclass(frozen=True)
class View:
    """One pass of test-time augmentation.

    Attributes:
        scale: factors of the image's longer and shorter side.
        turn: applied after scaling.
        rules: a box found in this view is kept only if all of these keep it.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    turn: Turn = AS_IT_IS
    rules: tuple[SizeRule, ...] = ()

    def scaled_size(self, size: Size) -> Size:
        """(h, w) of a scaled image (H, W), each at least one pixel."""
        longer, shorter = self.scale
        factors = (shorter, longer) if size[0] < size[1] else (longer, shorter)
        height, width = (max(round(n * f), 1) for n, f in zip(size, factors, strict=True))
        return height, width

    def boxes(self, boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """Maps boxes of the image (H, W) to this view's frame."""
        scaled = self.scaled_size(size)
        return self.turn.boxes(_stretch(boxes, size, scaled), scaled)

    def boxes_back(self, boxes: torch.Tensor, size: Size, frame: Size) -> torch.Tensor:
        """Maps boxes of this view of an image (H, W) to a frame to which the image is resized."""
        scaled = self.scaled_size(size)
        return _stretch(self.turn.boxes_back(boxes, scaled), scaled, frame)

    def masks_back(self, masks: CropMasks, frame: Size) -> CropMasks:
        """Maps masks of this view to a frame to which the image is resized."""
        return self.turn.masks_back(masks).resized(frame)

    def keeps(self, boxes: torch.Tensor) -> torch.Tensor:
        """Whether all rules keep each box: (N,) bool."""
        kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        for rule in self.rules:
            kept &= rule.keeps(boxes)
        return kept


def _stretch(boxes: torch.Tensor, size: Size, target: Size) -> torch.Tensor:
    # Multiply before dividing: else a side of 30 px scaled by 0.6 would be 18.000000000000004.
    new = boxes.new_tensor([target[1], target[0]]).repeat(2)
    return boxes * new / boxes.new_tensor([size[1], size[0]]).repeat(2)


# RefineDet's multi-scale tests (arXiv 1711.06897, section 4.4), with the numbers of its release:
# scale, and which boxes are kept. The bounds are for images of PASCAL and COCO, about 500 px a
# side, and count both end pixels of a box.
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
    """The views of a published test: each scale unchanged and mirrored left to right.

    Raises:
        ValueError: there is no such preset.
    """
    check_choice("TEST.TTA.PRESET", name, ("", *sorted(PRESETS)))
    scales, keep = zip(*PRESETS[name], strict=True)
    return make_views(scales, ["horizontal"], keep)


def make_views(scales: Sequence[Any], flips: Sequence[str], keep: Sequence[str]) -> list[View]:
    """The views at each scale: first the unturned one, then one for each of ``flips``.

    Args:
        scales, flips, keep: as the keys TEST.TTA.SCALES, FLIPS and KEEP.

    Raises:
        ValueError: no scale, a scale that isn't positive, an unknown flip or rule, a flip or scale
            given twice, or not as many rules as scales.
    """
    if not scales:
        raise ValueError("TEST.TTA.SCALES must hold at least one scale; got ()")
    unknown = [flip for flip in flips if flip not in TURNS]
    if unknown or len(set(flips)) < len(flips):
        raise ValueError(f"TEST.TTA.FLIPS must be some of {list(TURNS)}; got {list(flips)}")
    if keep and len(keep) != len(scales):
        raise ValueError(
            "TEST.TTA.KEEP must be () or hold a string for each of TEST.TTA.SCALES; "
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
        isinstance(factor, (int, float))
        and not isinstance(factor, bool)
        and 0 < factor < float("inf")
        for factor in pair
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
                'TEST.TTA.KEEP must hold strings like "min<96", "max>32", "min>8,max<64" or ""; '
                f"got {text!r}"
            )
        rules.append(SizeRule(match[1], match[2], float(match[3])))
    return tuple(rules)
