"""Images at reduced scale, for the network that chooses the regions to detect in."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.structures import BoxMode

from smallobj.data.image_file import read_image
from smallobj.data.mappers.registry import MAPPER_REGISTRY
from smallobj.data.mappers.tile import TileMapper, single_objects
from smallobj.geometry.boxes import annotation_boxes
from smallobj.images.pixels import DEFAULT_CONVERSION, PixelConversion


@MAPPER_REGISTRY.register()
class FocusMapper(TileMapper):
    """Cuts training tiles from an image reduced by MODEL.FOCUS.REDUCTION.

    INPUT.TILE is as for :class:`TileMapper`, with lengths in pixels of the reduced image.
    """

    @configurable
    def __init__(self, *, reduction: int, **options: Any) -> None:
        super().__init__(**options)
        self.reduction = reduction

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        if cfg.MODEL.MASK_ON:
            raise ValueError("INPUT.MAPPER FocusMapper has no masks; set MODEL.MASK_ON False")
        return {**super().from_config(cfg), "reduction": cfg.MODEL.FOCUS.REDUCTION}

    def _read(self, dataset_dict: dict[str, Any]) -> tuple[np.ndarray, list[dict[str, Any]]]:
        image = read_reduced(dataset_dict, self.reduction, self.conversion)
        annotations = single_objects(dataset_dict)
        boxes = annotation_boxes(annotations) / self.reduction
        reduced = [
            {**annotation, "bbox": box.tolist(), "bbox_mode": BoxMode.XYXY_ABS}
            for annotation, box in zip(annotations, boxes, strict=True)
        ]
        return image, reduced


def read_reduced(
    dataset_dict: dict[str, Any],
    reduction: int,
    conversion: PixelConversion = DEFAULT_CONVERSION,
) -> np.ndarray:
    """Reads the image of a dataset dict at 1/reduction of its size, (H, W, 3) uint8 BGR.

    Raises:
        ValueError: the image's size isn't that in the dataset dict.
    """
    image = read_image(dataset_dict["file_name"], reduction, conversion)
    height, width = (dataset_dict.get(key) for key in ("height", "width"))
    if height and width:
        expected = (-(-height // reduction), -(-width // reduction))
        if image.shape[:2] != expected:
            raise ValueError(
                f"{dataset_dict['file_name']}: the dataset says {width}x{height}, which reduced by "
                f"{reduction} is {expected[1]}x{expected[0]}; got {image.shape[1]}x{image.shape[0]}"
            )
    return image
