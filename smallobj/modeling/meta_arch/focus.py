"""A light network that says where in a photograph objects may lie and roughly how large, not which.

Shape legend. N: images of a batch. (H, W): an image as the network sees it, that is the photograph
reduced by MODEL.FOCUS.REDUCTION. (h, w) = (H, W) / 8 rounded up: cells of the heat map. With
reduction 2 a cell is 16 x 16 px of the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, get_norm
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes
from fvcore.nn import sigmoid_focal_loss
from torch import nn
from torch.nn import functional as F

from smallobj.checks import check_between, check_choice

CELL = 8
_SIZE_WEIGHT = 0.2
_PRIOR = 0.01  # share of cells that the untrained network takes for objects


def _convolution(inputs: int, outputs: int, norm: str, **options: Any) -> Conv2d:
    return Conv2d(
        inputs,
        outputs,
        3,
        bias=not norm,
        norm=get_norm(norm, outputs),
        activation=F.relu,
        **options,
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions beside an identity; the first one dilated."""

    def __init__(self, channels: int, norm: str, dilation: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, norm, padding=dilation, dilation=dilation)
        self.second = _convolution(channels, channels, norm, padding=1)
        self.second.activation = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(self.first(x)))


class FocusBackbone(nn.Module):
    """(N, 3, H, W) -> {"focus": (N, C, h, w)}: three steps of stride 2, then dilations.

    Attributes:
        reach: pixels of its input, beyond the border of a cell, on which that cell depends.
    """

    def __init__(self, channels: Sequence[int], dilations: Sequence[int], norm: str) -> None:
        """
        Args:
            channels: after each of the three steps.
            dilations: one residual block at full depth for each.
            norm: as Detectron2 names it.
        """
        super().__init__()
        # Each convolution sees one step further, in pixels of its input; a dilated one more.
        self.reach = 1 + 2 + 2 * 4 + 4 + CELL * sum(dilation + 1 for dilation in dilations)
        if len(channels) != 3:
            raise ValueError(f"MODEL.FOCUS.CHANNELS needs three numbers; got {list(channels)}")
        first, second, third = channels
        self.steps = nn.Sequential(
            _convolution(3, first, norm, stride=2, padding=1),
            _convolution(first, second, norm, stride=2, padding=1),
            _Residual(second, norm, 1),
            _convolution(second, third, norm, stride=2, padding=1),
            *[_Residual(third, norm, dilation) for dilation in dilations],
        )

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"focus": self.steps(image)}


@META_ARCH_REGISTRY.register()
class FocusNet(nn.Module):
    """A heat map of objects and of their sizes, for choosing what a detector reads.

    Heat is trained with the focal loss (arXiv 1708.02002, section 3). Positive are the cells in the
    core of an object's box and the one that holds its centre; other cells that the box touches
    don't count. Each object weighs the same, however many cells it covers. There the network also
    learns the logarithm of the box's longer side, by the smooth L1 loss.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    @configurable
    def __init__(
        self,
        *,
        backbone: Any,
        channels: int,
        reduction: int,
        core: float,
        alpha: float,
        gamma: float,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        """
        Args:
            backbone: image batch in, {"focus": (N, channels, h, w)} out; with a ``reach``, as
                :class:`FocusBackbone`.
            channels: of the backbone's output.
            reduction: side of the photograph over side of the image that the network sees.
            core: side of a box's positive core over the side of the box, in (0, 1].
            alpha, gamma: of the focal loss; objects weigh alpha, background 1 - alpha.
            pixel_mean, pixel_std: of each channel.

        Raises:
            ValueError: a reduction other than 1, 2, 4, 8, or core or alpha out of range.
        """
        super().__init__()
        check_choice("MODEL.FOCUS.REDUCTION", reduction, (1, 2, 4, 8))
        check_between("MODEL.FOCUS.CORE", core, 0, 1, "(]")
        check_between("MODEL.FOCUS.FOCAL_ALPHA", alpha, 0, 1, "()")
        self.backbone = backbone
        self.head = nn.Conv2d(channels, 2, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([-math.log((1 - _PRIOR) / _PRIOR), 0.0]))
        self.reduction = reduction
        self.stride = CELL * reduction
        self.core = core
        self.alpha = alpha
        self.gamma = gamma
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        node = cfg.MODEL.FOCUS
        return {
            "backbone": FocusBackbone(node.CHANNELS, node.DILATIONS, node.NORM),
            "channels": node.CHANNELS[-1],
            "reduction": node.REDUCTION,
            "core": node.CORE,
            "alpha": node.FOCAL_ALPHA,
            "gamma": node.FOCAL_GAMMA,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def reach(self) -> int:
        """Pixels of the photograph, beyond the border of a cell, on which that cell depends."""
        return self.backbone.reach * self.reduction

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """
        Args:
            batched_inputs: dicts with "image" (3, H, W), a reduced photograph; in training
                "instances" with gt_boxes in its pixels.

        Returns:
            in training {"loss_focus", "loss_size"}, scalars; else a dict for each image with
            "focus", the heat map (h, w) float32 in [0, 1], "side" (h, w), the longer side in px of
            the photograph that an object there would have, and "stride", the side of a cell in px
            of the photograph.
        """
        images, sizes = self._batch(batched_inputs)
        logits, scales = self.head(self.backbone(images)["focus"]).unbind(dim=1)
        if self.training:
            boxes = [item["instances"].gt_boxes.to(self.device) for item in batched_inputs]
            return self.losses(logits, scales, boxes)
        maps = torch.stack([logits.sigmoid(), self.stride * scales.clamp(-8, 8).exp2()], dim=1)
        outputs = []
        for both, (height, width) in zip(maps, sizes, strict=True):
            heat, side = both[:, : -(-height // CELL), : -(-width // CELL)]
            outputs.append({"focus": heat, "side": side, "stride": self.stride})
        return outputs

    def _batch(
        self, batched_inputs: list[dict[str, Any]]
    ) -> tuple[torch.Tensor, list[tuple[int, int]]]:
        """The images, normalised and padded by zeros to whole cells, and their sizes (H, W)."""
        images = [item["image"] for item in batched_inputs]
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        height, width = (-(-max(sides) // CELL) * CELL for sides in zip(*sizes, strict=True))
        batch = self.pixel_mean.new_zeros(len(images), 3, height, width)
        for target, image, (rows, columns) in zip(batch, images, sizes, strict=True):
            # In place: of a whole photograph each further copy takes as long as a convolution.
            target = target[:, :rows, :columns]
            target.copy_(image).sub_(self.pixel_mean).div_(self.pixel_std)
        return batch, sizes

    def losses(
        self, logits: torch.Tensor, sizes: torch.Tensor, boxes: list[Boxes]
    ) -> dict[str, torch.Tensor]:
        """Both losses, for each object.

        Args:
            logits: (N, h, w), of heat.
            sizes: (N, h, w), binary logarithm of the longer side in cells.
            boxes: N entries, in px of the image that the network sees.
        """
        parts = [focus_targets(b.tensor / CELL, logits.shape[1:], self.core) for b in boxes]
        target, weight, side = (torch.stack(list(maps)) for maps in zip(*parts, strict=True))
        count = max(sum(len(b) for b in boxes), 1)
        heat_loss = sigmoid_focal_loss(logits.float(), target, self.alpha, self.gamma)
        size_loss = F.smooth_l1_loss(sizes.float(), side.log2(), reduction="none")
        return {
            "loss_focus": (heat_loss * weight).sum() / count,
            "loss_size": (size_loss * weight * target).sum() / count * _SIZE_WEIGHT,
        }


def focus_targets(
    boxes: torch.Tensor, size: tuple[int, int] | torch.Size, core: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the maps should be, and how much each cell counts.

    Args:
        boxes: (M, 4) XYXY, in cells.
        size: (h, w).
        core: side of the positive core over the side of the box.

    Returns:
        target (h, w), 1 where an object's core holds the cell's centre or the cell holds the box's
        centre; weight (h, w): 1 on background, 0 on other cells that a box touches, and on positive
        cells so that each object's sum to 1; side (h, w), in cells: on positive cells the longer
        side of the object (of several the last one's), elsewhere 1.
    """
    height, width = size
    target = boxes.new_zeros(size)
    weight = boxes.new_ones(size)
    for x0, y0, x1, y1 in boxes.tolist():
        touched = slice(max(int(y0), 0), math.ceil(y1)), slice(max(int(x0), 0), math.ceil(x1))
        weight[touched] = 0
    share = torch.zeros_like(weight)
    side = torch.ones_like(weight)
    for x0, y0, x1, y1 in boxes.tolist():
        rows = _core(y0, y1, core, height)
        columns = _core(x0, x1, core, width)
        target[rows, columns] = 1
        side[rows, columns] = max(x1 - x0, y1 - y0, 1e-3)
        share[rows, columns] += 1 / ((rows.stop - rows.start) * (columns.stop - columns.start))
    return target, torch.where(target > 0, share, weight), side


def _core(low: float, high: float, core: float, length: int) -> slice:
    """Cells along an axis with centres in the core of [low, high], or the one in its middle."""
    middle, half = (low + high) / 2, (high - low) / 2 * core
    first, last = math.ceil(middle - half - 0.5), math.floor(middle + half - 0.5)
    if first > last:
        first = last = math.floor(middle)
    first = min(max(first, 0), length - 1)
    return slice(first, min(max(last, first), length - 1) + 1)
