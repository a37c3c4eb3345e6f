"""Whole images squashed to one size, the usual input of a detector with a fixed input size."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from detectron2.structures import BoxMode

from smallobj.data.image_cache import Arrays, ImageCache
from smallobj.data.image_file import read_image
from smallobj.data.mappers.registry import MAPPER_REGISTRY
from smallobj.data.mappers.tile import TileMapper, single_objects
from smallobj.geometry.boxes import annotation_boxes


def squash_of(cfg: CfgNode) -> T.Resize | None:
    """The resizing set by INPUT.SQUASH; None if there is none.

    Raises:
        ValueError: only one side is 0, or INPUT.MIN_SIZE_TEST resizes too.
    """
    size = tuple(cfg.INPUT.SQUASH)
    if len(size) != 2 or min(size) < 0 or (0 in size and any(size)):
        raise ValueError(
            f"INPUT.SQUASH is (height, width), both positive, or (0, 0) for none; got {size}"
        )
    if not any(size):
        return None
    if cfg.INPUT.MIN_SIZE_TEST:
        raise ValueError(
            "INPUT.SQUASH and INPUT.MIN_SIZE_TEST both resize at test time; set one of them to 0, "
            f"got {size} and {cfg.INPUT.MIN_SIZE_TEST}"
        )
    return T.Resize(size)


@MAPPER_REGISTRY.register()
class SquashMapper(TileMapper):
    """Squashes each whole image to INPUT.SQUASH as one training input.

    Of INPUT.TILE it uses FLIP and COLOR_JITTER. Squashed images are cached in a folder, see
    INPUT.SQUASH_CACHE.
    """

    @configurable
    def __init__(self, *, squash: T.Resize, cache: ImageCache, **options: Any) -> None:
        height, width = squash.shape
        super().__init__(**options, tile=max(height, width), per_image=1)
        self.squash = squash
        self.cache = cache

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        squash = squash_of(cfg)
        if squash is None:
            raise ValueError("INPUT.MAPPER SquashMapper needs a size; set INPUT.SQUASH")
        if cfg.MODEL.MASK_ON:
            raise ValueError("INPUT.MAPPER SquashMapper has no masks; set MODEL.MASK_ON False")
        options = super().from_config(cfg)
        for name in ("tile", "per_image"):
            del options[name]
        node = cfg.INPUT.SQUASH_CACHE
        folder = node.FOLDER or os.path.join(cfg.OUTPUT_DIR, "squashed")
        return {**options, "squash": squash, "cache": ImageCache(folder, node.MAX_GB * 1e9)}

    def _read(self, dataset_dict: dict[str, Any]) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """The squashed image, (h, w, 3) uint8 BGR, and its annotations in that frame."""
        path = dataset_dict["file_name"]
        how = f"squashed to {tuple(self.squash.shape)}, {self.conversion}"
        kept = self.cache(path, how, lambda: self._make(dataset_dict))
        height, width = kept["original_size"].tolist()
        annotations = single_objects(dataset_dict)
        scale = np.tile(np.array(self.squash.shape[::-1]) / (width, height), 2)
        boxes = annotation_boxes(annotations) * scale
        squashed = [
            {**annotation, "bbox": box.tolist(), "bbox_mode": BoxMode.XYXY_ABS}
            for annotation, box in zip(annotations, boxes, strict=True)
        ]
        return kept["image"], squashed

    def _make(self, dataset_dict: dict[str, Any]) -> Arrays:
        image = read_image(dataset_dict["file_name"], conversion=self.conversion)
        detection_utils.check_image_size(dict(dataset_dict), image)
        return {
            "image": self.squash.get_transform(image).apply_image(image),
            "original_size": np.array(image.shape[:2]),
        }
