"""Masks of an image's objects, each stored as a crop of the object's size. Pure geometry.

N objects. A frame is (h, w) in pixels; ``origins`` are (x, y) of each crop's first pixel in it.
A run-length mask (RLE) is in COCO's compressed form, {"size": [h, w], "counts": text}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_util

Rle = dict[str, Any]


class CropMasks:
    """N masks as crops: for 100 small objects in 2800 x 2100 px, a few kilobytes, not 588 MB.

    Replaces Detectron2's bool tensor (N, H, W). It can be indexed, concatenated and moved to a
    device like a tensor. Iteration and ``numpy.asarray`` compute the full-size bitmaps, so
    Detectron2's Visualizer and COCOEvaluator accept it.

    >>> masks = torch.zeros(1, 4, 6, dtype=torch.bool)
    >>> masks[0, 1:3, 2:5] = True
    >>> crops = CropMasks.from_bitmasks(masks)
    >>> crops.corners().tolist(), crops.areas().tolist()
    ([[2, 1, 5, 3]], [6])

    Attributes:
        crops: N bool tensors (h_i, w_i).
        origins: (N, 2) int64 on the CPU, each (x, y) inside the frame.
        image_size: (H, W) of the frame.
    """

    def __init__(
        self, crops: Sequence[torch.Tensor], origins: torch.Tensor, image_size: tuple[int, int]
    ) -> None:
        assert len(crops) == len(origins)
        self.crops = list(crops)
        self.origins = origins.reshape(-1, 2).to("cpu", torch.int64)
        self.image_size = image_size

    @classmethod
    def from_bitmasks(cls, masks: torch.Tensor) -> CropMasks:
        """From (N, H, W), of which nothing is kept; an empty mask becomes an empty crop."""
        masks = masks.bool()
        first, last = [], []
        for axis in (1, 2):  # extent along x, then along y
            used = masks.any(dim=axis)
            is_empty = ~used.any(dim=1)
            ranked = used.to(torch.uint8)  # argmax does not accept bool
            end = used.shape[1] - ranked.flip(1).argmax(dim=1)
            first.append(ranked.argmax(dim=1).masked_fill(is_empty, 0))
            last.append(end.masked_fill(is_empty, 0))
        origins, ends = torch.stack(first, dim=1).cpu(), torch.stack(last, dim=1).cpu()
        corners = torch.cat([origins, ends], dim=1).tolist()
        # Copies: a view would keep the whole bitmap in memory.
        crops = [
            mask[y0:y1, x0:x1].clone()
            for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True)
        ]
        return cls(crops, origins, (masks.shape[1], masks.shape[2]))

    @classmethod
    def of(cls, masks: CropMasks | torch.Tensor) -> CropMasks:
        """From the pred_masks of a detector: CropMasks, returned as they are, or (N, H, W) bool."""
        return masks if isinstance(masks, CropMasks) else cls.from_bitmasks(masks)

    @staticmethod
    def cat(parts: Sequence[CropMasks]) -> CropMasks:
        """Concatenates masks of the same frame; for ``Instances.cat``."""
        assert len({part.image_size for part in parts}) == 1
        crops = [crop for part in parts for crop in part.crops]
        return CropMasks(crops, torch.cat([p.origins for p in parts]), parts[0].image_size)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, item: int | slice | torch.Tensor) -> CropMasks:
        """Indexes like the rows of a tensor; an integer gives CropMasks of one mask."""
        if isinstance(item, torch.Tensor):
            item = item.cpu()
        rows = torch.arange(len(self))[item].reshape(-1)
        return CropMasks(
            [self.crops[row] for row in rows.tolist()], self.origins[rows], self.image_size
        )

    def __iter__(self) -> Iterator[torch.Tensor]:
        """The full-size bitmaps (H, W), one at a time."""
        for index in range(len(self)):
            yield self.bitmask(index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """(N, H, W) bool, or another ``dtype``."""
        full = self.to_bitmasks().cpu().numpy()
        return full if dtype is None else full.astype(dtype)

    @property
    def device(self) -> torch.device:
        return self.crops[0].device if self.crops else torch.device("cpu")

    def to(self, *args: Any, **kwargs: Any) -> CropMasks:
        """The masks with ``Tensor.to`` applied to the crops."""
        crops = [crop.to(*args, **kwargs) for crop in self.crops]
        return CropMasks(crops, self.origins, self.image_size)

    def corners(self) -> torch.Tensor:
        """(N, 4) int64 XYXY of each crop in the frame."""
        sides = torch.tensor([crop.shape[::-1] for crop in self.crops], dtype=torch.int64)
        return torch.cat([self.origins, self.origins + sides.reshape(-1, 2)], dim=1)

    def areas(self) -> torch.Tensor:
        """(N,) int64 number of pixels of each mask."""
        return torch.tensor([int(crop.sum()) for crop in self.crops], dtype=torch.int64)

    def moved(self, x: int, y: int, image_size: tuple[int, int]) -> CropMasks:
        """The masks in a larger frame, in which this frame begins at (x, y)."""
        return CropMasks(self.crops, self.origins + torch.tensor([x, y]), image_size)

    def mirrored(self, horizontal: bool, vertical: bool) -> CropMasks:
        """The masks flipped left to right, top to bottom, or both, as is the frame."""
        height, width = self.image_size
        x0, y0, x1, y1 = self.corners().unbind(dim=1)
        origins = [width - x1 if horizontal else x0, height - y1 if vertical else y0]
        axes = [axis for axis, flip in ((1, horizontal), (0, vertical)) if flip]
        crops = [crop.flip(axes) for crop in self.crops] if axes else self.crops
        return CropMasks(crops, torch.stack(origins, dim=1), self.image_size)

    def transposed(self) -> CropMasks:
        """The masks with x and y exchanged, as are the frame's sides."""
        height, width = self.image_size
        return CropMasks([crop.T for crop in self.crops], self.origins.flip(1), (width, height))

    def resized(self, image_size: tuple[int, int]) -> CropMasks:
        """The masks resized to ``image_size`` by nearest neighbour, at the centres of pixels."""
        if tuple(image_size) == tuple(self.image_size):
            return self
        crops, origins = [], []
        for crop, (x, y) in zip(self.crops, self.origins.tolist(), strict=True):
            top, rows = _nearest(y, crop.shape[0], self.image_size[0], image_size[0])
            left, columns = _nearest(x, crop.shape[1], self.image_size[1], image_size[1])
            rows, columns = rows.to(crop.device), columns.to(crop.device)
            crops.append(crop.index_select(0, rows).index_select(1, columns))
            origins.append([left, top])
        return CropMasks(crops, torch.tensor(origins), image_size)

    def bitmask(self, index: int) -> torch.Tensor:
        """The full-size mask of one object, (H, W) bool."""
        crop = self.crops[index]
        x, y = self.origins[index].tolist()
        full = torch.zeros(self.image_size, dtype=torch.bool, device=crop.device)
        full[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return full

    def to_bitmasks(self) -> torch.Tensor:
        """The full-size masks, (N, H, W) bool: N * H * W bytes."""
        full = torch.zeros(len(self), *self.image_size, dtype=torch.bool, device=self.device)
        for index, (crop, (x, y)) in enumerate(zip(self.crops, self.origins.tolist(), strict=True)):
            full[index, y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return full

    def rles(self) -> list[Rle]:
        """The masks run-length encoded, without full-size bitmaps."""
        origins = self.origins.tolist()
        return [
            crop_rle(crop.cpu().numpy(), x, y, self.image_size)
            for crop, (x, y) in zip(self.crops, origins, strict=True)
        ]


def _nearest(start: int, length: int, before: int, after: int) -> tuple[int, torch.Tensor]:
    """Nearest-neighbour resize of a crop along one axis.

    New pixel c takes old pixel p if p <= (c + 0.5) * before / after < p + 1.

    Args:
        start, length: first pixel and length of the crop in the old frame.
        before, after: length of the old and of the new frame.

    Returns:
        First pixel of the crop in the new frame; for each of its new pixels, the index of the old
        one in the crop.
    """
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) * before / after
    source = centres.floor().long().clamp(max=before - 1) - start
    inside = ((source >= 0) & (source < length)).nonzero().squeeze(1)
    return int(inside[0]) if len(inside) else 0, source[inside]


def crop_rle(crop: np.ndarray, x: int, y: int, image_size: tuple[int, int]) -> Rle:
    """The run-length mask of a crop, (h, w) bool, whose first pixel is (x, y) of the image."""
    height, width = image_size
    columns, rows = crop.T.nonzero()
    # COCO orders pixels column by column.
    place = (columns + x) * height + rows + y
    first = np.flatnonzero(np.diff(place, prepend=-2) != 1)
    starts = place[first]
    ends = place[np.append(first[1:], len(place)) - 1] + 1 if len(place) else place
    edges = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(edges, prepend=0, append=height * width).tolist()
    if len(counts) > 1 and counts[-1] == 0:
        counts.pop()
    return compressed({"size": [height, width], "counts": counts})


def coco_annotation(number: int, image_id: int, category_id: int, rle: Rle) -> dict[str, Any]:
    """A COCO JSON annotation from a run-length mask, with its tight box (x, y, w, h)."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": mask_util.toBbox(rle).tolist(),
        "area": int(mask_util.area(rle)),
        "segmentation": rle,
        "iscrowd": 0,
    }


def compressed(rle: Rle) -> Rle:
    """Compresses a run-length mask: its list of counts as text, for JSON and pycocotools."""
    height, width = rle["size"]
    packed = mask_util.frPyObjects(rle, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def mask_rles(masks: CropMasks | torch.Tensor) -> list[Rle]:
    """Run-length masks of the pred_masks of a detector."""
    return CropMasks.of(masks).rles()
