"""A light network that predicts where in an image objects may be and roughly how large they are.

Shape legend. N: images of a batch. (H, W): the network's input, that is the full image reduced by
MODEL.FOCUS.REDUCTION. (h, w) = (H, W) / 8 rounded up: cells of the heat map. With reduction 2 a
cell is 16 x 16 px of the full image.
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
_PRIOR = 0.01  # heat of every cell in the untrained network


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
    """Residual block of two 3x3 convolutions, the first one dilated."""

    def __init__(self, channels: int, norm: str, dilation: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, norm, padding=dilation, dilation=dilation)
        self.second = _convolution(channels, channels, norm, padding=1)
        self.second.activation = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(self.first(x)))


class FocusBackbone(nn.Module):
    """(N, 3, H, W) -> {"focus": (N, C, h, w)}: three steps of stride 2, then dilated blocks.

    Attributes:
        reach: number of input pixels beyond the border of a cell on which the cell depends.
    """

    def __init__(self, channels: Sequence[int], dilations: Sequence[int], norm: str) -> None:
        """
        Args:
            channels: channels after each of the three steps.
            dilations: one residual block after the last step for each dilation.
            norm: Detectron2's name of the normalisation.
        """
        super().__init__()
        # Each 3x3 convolution adds the stride of its input, times its dilation.
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
    """Predicts a heat map of objects and their sizes, for choosing the regions to detect in.

    Heat is trained with the focal loss (arXiv 1708.02002, section 3). The cells in the core of an
    object's box and the cell with its centre are positive; other cells that the box touches are
    ignored. Each object weighs the same, however many cells it covers. In positive cells the
    network also learns the logarithm of the box's longer side, with the smooth L1 loss.
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
            backbone: maps a batch of images to {"focus": (N, channels, h, w)}; has an attribute
                ``reach`` like that of :class:`FocusBackbone`.
            channels: channels of the backbone's output.
            reduction: side of the full image over side of the network's input.
            core: side of the positive core of a box over the side of the box, in (0, 1].
            alpha, gamma: parameters of the focal loss; objects weigh alpha, background 1 - alpha.
            pixel_mean, pixel_std: mean and standard deviation of each channel.

        Raises:
            ValueError: the reduction isn't 1, 2, 4 or 8, or core or alpha is out of range.
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
        """Number of full-image pixels beyond the border of a cell on which the cell depends."""
        return self.backbone.reach * self.reduction

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """
        Args:
            batched_inputs: dicts with "image" (3, H, W), a reduced image; in training also
                "instances" with gt_boxes in its pixels.

        Returns:
            In training {"loss_focus", "loss_size"}, scalars. Otherwise a dict for each image with
            "focus", the heat map (h, w) float32 in [0, 1]; "side" (h, w), the predicted longer side
            of an object in that cell; and "stride", the side of a cell; both in px of the full
            image.
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
        """The images, normalised and padded with zeros to whole cells, and their sizes (H, W)."""
        images = [item["image"] for item in batched_inputs]
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        height, width = (-(-max(sides) // CELL) * CELL for sides in zip(*sizes, strict=True))
        batch = self.pixel_mean.new_zeros(len(images), 3, height, width)
        for target, image, (rows, columns) in zip(batch, images, sizes, strict=True):
            # In place, since each further copy of a whole image takes as long as a convolution.
            target = target[:, :rows, :columns]
            target.copy_(image).sub_(self.pixel_mean).div_(self.pixel_std)
        return batch, sizes

    def losses(
        self, logits: torch.Tensor, sizes: torch.Tensor, boxes: list[Boxes]
    ) -> dict[str, torch.Tensor]:
        """Both losses, divided by the number of objects.

        Args:
            logits: (N, h, w), logits of heat.
            sizes: (N, h, w), binary logarithm of the longer side in cells.
            boxes: N entries, in px of the network's input.
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
    """Targets of the heat and size maps, and the weight of each cell in the loss.

    Args:
        boxes: (M, 4) XYXY, in cells.
        size: (h, w).
        core: side of the positive core over the side of the box.

    Returns:
        target (h, w): 1 (positive) if the centre of the cell lies in the core of an object, or the
        centre of a box lies in the cell; otherwise 0.
        weight (h, w): 1 on background; 0 on cells that a box touches but that aren't positive; on
        the positive cells of an object its weights sum to 1.
        side (h, w), in cells: the longer side of the object on positive cells (of several objects,
        the last one), elsewhere 1.
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
    """Cells along an axis whose centres lie in the core of [low, high]; if none, the middle one."""
    middle, half = (low + high) / 2, (high - low) / 2 * core
    first, last = math.ceil(middle - half - 0.5), math.floor(middle + half - 0.5)
    if first > last:
        first = last = math.floor(middle)
    first = min(max(first, 0), length - 1)
    return slice(first, min(max(last, first), length - 1) + 1)
