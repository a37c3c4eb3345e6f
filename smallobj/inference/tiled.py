"""Detection on tiles, behind Detectron2's model contract: list[dict] in, list[dict] out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.checks import check_not_negative, check_positive
from smallobj.geometry.boxes import overlapping_pairs
from smallobj.geometry.masks import CropMasks
from smallobj.geometry.tiling import cut_by_seam, plan_tiles, superseded
from smallobj.inference.batching import BatchRunner
from smallobj.merging import build_merger
from smallobj.merging.registry import Merger
from smallobj.modeling.detection_limit import DetectionLimit

Item = dict[str, Any]


class TiledDetector(nn.Module):
    """Runs any detector on the tiles of each image and merges the detections.

    Inputs and outputs are those of the wrapped detector, so that evaluators, predictors and other
    wrappers work unchanged.
    """

    @configurable
    def __init__(
        self,
        model: nn.Module,
        *,
        tile: int,
        overlap: int,
        batch_size: int,
        seam_margin: float,
        seam_iou: float = 0.5,
        merger: Merger,
        max_detections: int,
        mix_images: bool = True,
    ) -> None:
        """
        Args:
            model: detector in evaluation mode; takes each tile as a separate image.
            tile, overlap: as in :func:`smallobj.geometry.tiling.plan_tiles`.
            batch_size: tiles of full size in a batch; a batch of smaller tiles has as many as fit
                into the same number of pixels.
            seam_margin: as in :func:`smallobj.geometry.tiling.cut_by_seam`.
            seam_iou: as in :func:`smallobj.geometry.tiling.superseded`; above 1 no box is dropped.
            merger: merges the boxes of all tiles into one per object.
            max_detections: most detections of an image.
            mix_images: a batch may hold tiles of several images.

        Raises:
            ValueError: an overlap that isn't smaller than the tile, a batch size below 1, a
                negative margin, or an IoU that is not positive.
        """
        super().__init__()
        if not 0 <= overlap < tile:
            raise ValueError(
                f"TEST.TILE.OVERLAP must lie in [0, TEST.TILE.SIZE); got {overlap} and {tile}"
            )
        check_not_negative("TEST.TILE.SEAM_MARGIN", seam_margin)
        if not seam_iou > 0:
            raise ValueError(
                "TEST.TILE.SEAM_IOU must be positive (above 1 it switches the seam rule off); "
                f"got {seam_iou}"
            )
        check_positive("TEST.TILE.BATCH_SIZE", batch_size)
        self.model = model
        self.runner = BatchRunner(model, batch_size * tile * tile)
        self.tile = tile
        self.overlap = overlap
        self.seam_margin = seam_margin
        self.seam_iou = seam_iou
        self.merger = merger
        self.limit = DetectionLimit(max_detections)
        self.mix_images = mix_images
        self.train(model.training)  # after inference this mode is restored, the model's too

    @classmethod
    def from_config(cls, cfg: CfgNode, model: nn.Module) -> dict[str, Any]:
        node = cfg.TEST.TILE
        return {
            "model": model,
            "tile": node.SIZE,
            "overlap": node.OVERLAP,
            "batch_size": node.BATCH_SIZE,
            "seam_margin": node.SEAM_MARGIN,
            "seam_iou": node.SEAM_IOU,
            "merger": build_merger(cfg),
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
            "mix_images": node.MIX_IMAGES,
        }

    @torch.no_grad()
    def forward(self, batched_inputs: list[Item]) -> list[Item]:
        """
        Args:
            batched_inputs: dicts with "image" (C, H, W), "height" and "width" of the frame in
                which boxes are returned (default: the image's), and optionally "tiles" (T, 4)
                XYXY, to be read instead of the planned grid.

        Returns:
            A dict for each image with "instances": pred_boxes, scores and pred_classes by falling
            score, at most ``max_detections``, and pred_masks as CropMasks if the model gives masks;
            and "tiles" (T, 4) float64 XYXY, in the same frame: those that were read.
        """
        return list(self.stream(batched_inputs))

    def stream(self, items: Iterable[Item]) -> Iterator[Item]:
        """As :meth:`forward`, for a stream of any length, read a batch ahead of the results."""
        if self.mix_images:
            yield from self._stream(items)
        else:
            for item in items:
                yield from self._stream([item])

    def _stream(self, items: Iterable[Item]) -> Iterator[Item]:
        waiting: deque[tuple[Item, np.ndarray]] = deque()

        def inputs() -> Iterator[Item]:
            for item in items:
                tiles = self.tiles(item)
                waiting.append((item, tiles))
                for tile in tiles.tolist():
                    yield _crop(item, tile)

        outputs: list[Instances] = []
        for output in self.runner(inputs()):
            while not len(waiting[0][1]):
                yield self._finish(*waiting.popleft(), [])
            outputs.append(with_crop_masks(output["instances"]))
            if len(outputs) == len(waiting[0][1]):
                yield self._finish(*waiting.popleft(), outputs)
                outputs = []
        for item, tiles in waiting:
            yield self._finish(item, tiles, [])

    def tiles(self, item: Item) -> np.ndarray:
        """The tiles of an image that are read, (T, 4) int64 XYXY."""
        if "tiles" in item:
            return np.asarray(item["tiles"], dtype=np.int64).reshape(-1, 4)
        return plan_tiles(image_size(item), self.tile, self.overlap)

    def tile_detections(self, item: Item) -> Instances:
        """Detections in the tiles of an image, before fragments are dropped and copies merged.

        Returns:
            As :meth:`to_image_frame`.
        """
        tiles = self.tiles(item)
        if not len(tiles):
            return self._nothing(image_size(item))
        outputs = self.runner(_crop(item, tile) for tile in tiles.tolist())
        found = [with_crop_masks(output["instances"]) for output in outputs]
        return self.to_image_frame(found, tiles, image_size(item))

    def _finish(self, item: Item, tiles: np.ndarray, outputs: list[Instances]) -> Item:
        size = image_size(item)
        if len(tiles) > 1:
            instances = self.merge_tiles(self.to_image_frame(outputs, tiles, size))
        elif outputs:
            # With a single tile there are no copies: the model's own suppression has run.
            instances = self.to_image_frame(outputs, tiles, size)
        else:
            instances = self._nothing(size)
        for field in ("tile", "cut"):
            instances.remove(field)
        height, width = item.get("height", size[0]), item.get("width", size[1])
        found = resized_instances(self.limit(instances), height, width)
        scale = np.tile([width / size[1], height / size[0]], 2)
        return {"instances": found, "tiles": tiles * scale}

    def to_image_frame(
        self, outputs: list[Instances], tiles: np.ndarray, size: tuple[int, int]
    ) -> Instances:
        """Combines the detections of T >= 1 tiles.

        Args:
            outputs: T Instances, each in its tile's frame.
            tiles: (T, 4) XYXY in image pixels.
            size: (h, w) of the image.

        Returns:
            Instances in the image's frame with pred_boxes, scores, pred_classes, pred_masks if
            each of ``outputs`` has them as CropMasks, and for :meth:`merge_tiles` "tile" (N, 4)
            int64, the tile of each box, and "cut" (N,) bool, whether the box touches a seam.
        """
        counts = torch.tensor([len(output) for output in outputs])
        boxes = torch.cat([output.pred_boxes.tensor for output in outputs])
        origin = torch.as_tensor(tiles).repeat_interleave(counts, dim=0).to(boxes.device)
        found = Instances(size)
        found.pred_boxes = Boxes(boxes + origin[:, [0, 1, 0, 1]].to(boxes))
        found.scores = torch.cat([output.scores for output in outputs])
        found.pred_classes = torch.cat([output.pred_classes for output in outputs])
        if all(output.has("pred_masks") for output in outputs):
            corners = torch.as_tensor(tiles)[:, :2].tolist()
            found.pred_masks = CropMasks.cat(
                [
                    output.pred_masks.moved(x, y, size)
                    for output, (x, y) in zip(outputs, corners, strict=True)
                ]
            )
        found.tile = origin
        found.cut = cut_by_seam(found.pred_boxes.tensor, origin, size, self.seam_margin)
        return found

    def merge_tiles(self, found: Instances) -> Instances:
        """Drops fragments that a whole copy replaces, then merges to one box per object.

        Both steps only relate boxes that overlap. So groups of boxes that no chain of overlaps
        links can be merged separately, with the same result.
        """
        boxes = found.pred_boxes.tensor
        if found.cut.any():
            pairs = overlapping_pairs(boxes)
            found = found[~superseded(boxes, found.tile, found.cut, pairs, self.seam_iou)]
        return self.merger(found)

    def _nothing(self, size: tuple[int, int]) -> Instances:
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        empty = Instances(size)
        empty.pred_boxes = Boxes(torch.zeros(0, 4, device=device))
        empty.scores = torch.zeros(0, device=device)
        empty.pred_classes = torch.zeros(0, dtype=torch.int64, device=device)
        empty.tile = torch.zeros(0, 4, dtype=torch.int64, device=device)
        empty.cut = torch.zeros(0, dtype=torch.bool, device=device)
        return empty


def with_crop_masks(found: Instances) -> Instances:
    """Converts masks, if any, to CropMasks: full-size masks of all tiles would fill the memory."""
    if found.has("pred_masks"):
        found.pred_masks = CropMasks.of(found.pred_masks)
    return found


def resized_instances(found: Instances, height: int, width: int) -> Instances:
    """Detectron2's ``detector_postprocess`` for instances whose masks, if any, are CropMasks."""
    if not found.has("pred_masks"):
        return detector_postprocess(found, height, width)
    masks = found.pred_masks
    found = Instances(found.image_size, **found.get_fields())
    # detector_postprocess may drop boxes and would paste masks at full size, so an index of each
    # box goes through it in place of the masks.
    found.remove("pred_masks")
    found.number = torch.arange(len(masks), device=found.pred_boxes.device)
    found = detector_postprocess(found, height, width)
    found.pred_masks = masks[found.number].resized((height, width))
    found.remove("number")
    return found


def _crop(item: Item, tile: list[int]) -> Item:
    x0, y0, x1, y1 = tile
    # The tile's height and width, as postprocessing would stretch its boxes to the image's.
    return {"image": item["image"][:, y0:y1, x0:x1], "height": y1 - y0, "width": x1 - x0}


def image_size(item: Item) -> tuple[int, int]:
    """(h, w) of a model input's image."""
    return item["image"].shape[-2], item["image"].shape[-1]
