"""Detection on tiles, behind Detectron2's model contract: list[dict] in, list[dict] out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.merging import build_merger
from smallobj.merging.registry import Merger
from smallobj.tiling import cut_by_seam, plan_tiles

Tile = tuple[int, int, int, int]


class TiledDetector(nn.Module):
    """Runs any detector over tiles of each image and merges the boxes that it finds (no masks yet).

    Wrapped or bare, a detector takes and gives the same things, so evaluators, predictors and
    other wrappers need not know.
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
        merger: Merger,
        max_detections: int,
    ) -> None:
        """
        Args:
            model: detector in evaluation mode; sees tiles as images of their own.
            tile, overlap: as :func:`smallobj.tiling.plan_tiles`.
            batch_size: tiles that go through the model together.
            seam_margin: as :func:`smallobj.tiling.cut_by_seam`.
            merger: boxes of all tiles in, one an object out.
            max_detections: most boxes that an image may have.

        Raises:
            ValueError: an overlap that isn't smaller than the tile, a batch size below 1, or a
                negative margin.
        """
        super().__init__()
        if not 0 <= overlap < tile:
            raise ValueError(
                f"TEST.TILE.OVERLAP must lie in [0, TEST.TILE.SIZE); got {overlap} and {tile}"
            )
        if seam_margin < 0:
            raise ValueError(f"TEST.TILE.SEAM_MARGIN must not be negative; got {seam_margin}")
        if batch_size < 1:
            raise ValueError(f"TEST.TILE.BATCH_SIZE must be positive; got {batch_size}")
        self.model = model
        self.tile = tile
        self.overlap = overlap
        self.batch_size = batch_size
        self.seam_margin = seam_margin
        self.merger = merger
        self.max_detections = max_detections
        self.train(model.training)  # a wrapper made in mid-training must hand that mode back

    @classmethod
    def from_config(cls, cfg: CfgNode, model: nn.Module) -> dict[str, Any]:
        node = cfg.TEST.TILE
        return {
            "model": model,
            "tile": node.SIZE,
            "overlap": node.OVERLAP,
            "batch_size": node.BATCH_SIZE,
            "seam_margin": node.SEAM_MARGIN,
            "merger": build_merger(cfg),
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    @torch.no_grad()
    def forward(self, batched_inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        Args:
            batched_inputs: dicts with "image" (C, H, W), and "height" and "width" of the frame in
                which boxes are wanted (the image's own where absent).

        Returns:
            A dict for each image with "instances": pred_boxes, scores and pred_classes by falling
            score, at most ``max_detections``.
        """
        found: list[list[Instances]] = [[] for _ in batched_inputs]
        for batch in self._batches(batched_inputs):
            outputs = self.model([self._input(batched_inputs[i], tile) for i, tile in batch])
            for (index, tile), output in zip(batch, outputs, strict=True):
                size = image_size(batched_inputs[index])
                found[index].append(self._to_image_frame(output["instances"], tile, size))
        return [
            {"instances": self._merge(instances, item)}
            for instances, item in zip(found, batched_inputs, strict=True)
        ]

    def _batches(self, items: list[dict[str, Any]]) -> Iterator[list[tuple[int, Tile]]]:
        """Groups of (image index, tile); a group's tiles share one shape, so none is padded."""
        group: list[tuple[int, Tile]] = []
        for index, item in enumerate(items):
            for row in plan_tiles(image_size(item), self.tile, self.overlap).tolist():
                tile: Tile = tuple(row)
                if group and (len(group) == self.batch_size or _side(group[-1][1]) != _side(tile)):
                    yield group
                    group = []
                group.append((index, tile))
        if group:
            yield group

    @staticmethod
    def _input(item: dict[str, Any], tile: Tile) -> dict[str, Any]:
        x0, y0, x1, y1 = tile
        # The tile's own height and width, or postprocessing would stretch its boxes to the image.
        return {"image": item["image"][:, y0:y1, x0:x1], "height": y1 - y0, "width": x1 - x0}

    def _to_image_frame(self, instances: Instances, tile: Tile, size: tuple[int, int]) -> Instances:
        boxes = instances.pred_boxes.tensor
        whole = ~cut_by_seam(boxes, tile, size, self.overlap, self.seam_margin)
        moved = Instances(size)
        moved.pred_boxes = Boxes(boxes[whole] + boxes.new_tensor([tile[0], tile[1]] * 2))
        moved.scores = instances.scores[whole]
        moved.pred_classes = instances.pred_classes[whole]
        return moved

    def _merge(self, instances: list[Instances], item: dict[str, Any]) -> Instances:
        # A single tile is the model's own answer: no seam, and the model has merged already.
        cat = Instances.cat(instances)
        merged = cat if len(instances) == 1 else self.merger(cat)
        merged = merged[: self.max_detections]
        height, width = image_size(item)
        return detector_postprocess(merged, item.get("height", height), item.get("width", width))


def image_size(item: dict[str, Any]) -> tuple[int, int]:
    """(h, w) of a model input's pixels."""
    return item["image"].shape[-2], item["image"].shape[-1]


def _side(tile: Tile) -> tuple[int, int]:
    return tile[3] - tile[1], tile[2] - tile[0]


def wrap_for_test(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """The model as validation, ``--eval-only`` and the demo run it: tiled if TEST.TILE.ENABLED."""
    return TiledDetector(cfg, model) if cfg.TEST.TILE.ENABLED else model
