"""The tiling mapper, which cuts several training tiles from one decoded image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from detectron2.structures import BitMasks, BoxMode, Instances, PolygonMasks
from fvcore.transforms.transform import CropTransform

from smallobj.checks import check_between, check_choice, check_positive
from smallobj.data.image_file import check_format, read_image
from smallobj.data.mappers.registry import MAPPER_REGISTRY
from smallobj.data.object_mask import object_mask
from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.tiling import sample_training_tiles, visible_fraction
from smallobj.images.pixels import DEFAULT_CONVERSION, PixelConversion

MASK_FORMATS = ("polygon", "bitmask")


@MAPPER_REGISTRY.register()
class TileMapper:
    """Cuts training tiles from an image at native resolution.

    Tiles are placed by ``tiling.sample_training_tiles``. An object cut by the tile edge keeps its
    label, clipped to the tile, if enough of the object is visible; Detectron2's own rule would also
    keep slivers of 1e-5 px. With MODEL.MASK_ON the mask is cut in the same way.
    """

    @configurable
    def __init__(
        self,
        *,
        tile: int,
        per_image: int,
        background_ratio: float,
        center_jitter: float,
        min_visible: float,
        augmentations: list[T.Augmentation],
        color_jitter: float,
        image_format: str,
        with_masks: bool,
        mask_format: str = "polygon",
        conversion: PixelConversion = DEFAULT_CONVERSION,
    ) -> None:
        check_positive("INPUT.TILE.SIZE", tile)
        check_positive("INPUT.TILE.PER_IMAGE", per_image)
        for name, value in {
            "BACKGROUND_RATIO": background_ratio,
            "CENTER_JITTER": center_jitter,
            "MIN_VISIBLE": min_visible,
            "COLOR_JITTER": color_jitter,
        }.items():
            check_between(f"INPUT.TILE.{name}", value, 0, 1)
        check_choice("INPUT.MASK_FORMAT", mask_format, MASK_FORMATS)
        self.tile = tile
        self.per_image = per_image
        self.background_ratio = background_ratio
        self.center_jitter = center_jitter
        self.min_visible = min_visible
        self.augmentations = T.AugmentationList(augmentations)
        self.color_jitter = color_jitter
        self.image_format = check_format(image_format)
        self.with_masks = with_masks
        self.mask_format = mask_format
        self.conversion = conversion

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        node = cfg.INPUT.TILE
        unknown = set(node.FLIP) - {"horizontal", "vertical"}
        if unknown:
            raise ValueError(
                f"INPUT.TILE.FLIP takes horizontal and vertical; got {list(node.FLIP)}"
            )
        return {
            "tile": node.SIZE,
            "per_image": node.PER_IMAGE,
            "background_ratio": node.BACKGROUND_RATIO,
            "center_jitter": node.CENTER_JITTER,
            "min_visible": node.MIN_VISIBLE,
            "augmentations": [
                T.RandomFlip(horizontal=axis == "horizontal", vertical=axis == "vertical")
                for axis in node.FLIP
            ],
            "color_jitter": node.COLOR_JITTER,
            "image_format": cfg.INPUT.FORMAT,
            "with_masks": cfg.MODEL.MASK_ON,
            "mask_format": cfg.INPUT.MASK_FORMAT,
            "conversion": PixelConversion.from_config(cfg),
        }

    def __call__(self, dataset_dict: dict[str, Any]) -> list[dict[str, Any]]:
        """
        Args:
            dataset_dict: Detectron2's standard fields.

        Returns:
            ``per_image`` dicts with "image" (3, h, w) uint8, "height" and "width" of the tile,
            "instances" in the tile's frame, "tile" (x0, y0, x1, y1) in image pixels, and
            "file_name" and "image_id" of the image. With MODEL.MASK_ON the instances have
            "gt_masks", and the visible share of an object is measured on its mask instead of its
            box.

        Raises:
            ValueError: with MODEL.MASK_ON, an object has no mask, or none in INPUT.MASK_FORMAT.
        """
        image, annotations = self._read(dataset_dict)
        if self.with_masks:
            annotations = [self._with_mask(annotation, dataset_dict) for annotation in annotations]
        # Seeded from NumPy's global state, which Detectron2 seeds differently in each worker.
        rng = np.random.default_rng(np.random.randint(2**31, size=4))  # noqa: NPY002
        boxes = annotation_boxes(annotations)
        tiles = sample_training_tiles(
            rng,
            image.shape[:2],
            boxes,
            tile=self.tile,
            count=self.per_image,
            background_ratio=self.background_ratio,
            jitter=self.center_jitter,
        )
        return [self._cut(rng, image, tile, annotations, boxes, dataset_dict) for tile in tiles]

    def _read(self, dataset_dict: dict[str, Any]) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """The image, (H, W, 3) uint8 BGR, and its annotations in the frame of those pixels."""
        image = read_image(dataset_dict["file_name"], conversion=self.conversion)
        detection_utils.check_image_size(dataset_dict, image)
        return image, single_objects(dataset_dict)

    def _cut(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        tile: np.ndarray,
        annotations: list[dict[str, Any]],
        boxes: np.ndarray,
        source: dict[str, Any],
    ) -> dict[str, Any]:
        x0, y0, x1, y1 = tile.tolist()
        augmented = T.AugInput(image[y0:y1, x0:x1])
        crop = CropTransform(x0, y0, x1 - x0, y1 - y0, *reversed(image.shape[:2]))
        flips = self.augmentations(augmented)
        transforms = T.TransformList([crop]) + flips
        pixels = jitter_color(rng, augmented.image, self.color_jitter)
        if self.image_format == "RGB":
            pixels = pixels[:, :, ::-1]
        size = pixels.shape[:2]
        shown = visible_fraction(boxes, tile)
        if self.with_masks:
            instances = self._masked_instances(annotations, shown, tile, flips, size)
        else:
            kept = [
                detection_utils.transform_instance_annotations(
                    _box_of(annotations[index]), transforms, size
                )
                for index in np.flatnonzero(shown >= self.least_visible)
            ]
            instances = detection_utils.annotations_to_instances(kept, size)
        return {
            "file_name": source["file_name"],
            "image_id": source["image_id"],
            "tile": (x0, y0, x1, y1),
            "image": torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            "height": size[0],
            "width": size[1],
            "instances": instances,
        }

    @property
    def least_visible(self) -> float:
        """Lowest visible share of an object's area that keeps its label; always above 0."""
        return max(self.min_visible, 1e-9)

    def _with_mask(self, annotation: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
        segmentation = annotation.get("segmentation")
        if not segmentation or (self.mask_format == "polygon" and isinstance(segmentation, dict)):
            needed = {"polygon": "polygons", "bitmask": "a mask"}[self.mask_format]
            run_length = "a run-length mask (INPUT.MASK_FORMAT bitmask takes both)"
            raise ValueError(
                f"{source['file_name']}: MODEL.MASK_ON with INPUT.MASK_FORMAT {self.mask_format} "
                f"needs {needed} of every object; the one at {annotation['bbox']} has "
                f"{run_length if segmentation else 'none'}"
            )
        return {**annotation, "mask": object_mask(segmentation)}

    def _masked_instances(
        self,
        annotations: list[dict[str, Any]],
        shown: np.ndarray,
        tile: np.ndarray,
        flips: T.TransformList,
        size: tuple[int, int],
    ) -> Instances:
        """The objects that are visible enough; the box of a cut object fits its remaining mask."""
        kept = []
        for index in np.flatnonzero(shown > 0):
            whole = annotations[index]["mask"]
            left = whole.cut(tuple(tile.tolist()))
            if left.area() < self.least_visible * whole.area() or left.area() == 0:
                continue
            left = left.transformed(flips)
            if shown[index] < 1:
                box = left.box()
            else:
                crop = annotation_boxes([annotations[index]])[0] - np.tile(tile[:2], 2)
                box = flips.apply_box(crop[None])[0]
            kept.append(
                {
                    "bbox": box,
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "category_id": annotations[index]["category_id"],
                    "segmentation": left.segmentation(),
                }
            )
        instances = detection_utils.annotations_to_instances(kept, size, self.mask_format)
        if not kept:
            no_masks = torch.zeros(0, *size, dtype=torch.bool)
            is_polygon = self.mask_format == "polygon"
            instances.gt_masks = PolygonMasks([]) if is_polygon else BitMasks(no_masks)
        # A polygon thinner than a pixel can give an empty bitmap.
        return instances[instances.gt_masks.nonempty()]


def _box_of(annotation: dict[str, Any]) -> dict[str, Any]:
    # Copied, since transform_instance_annotations changes it, and other tiles need the original.
    return {name: annotation[name] for name in ("bbox", "bbox_mode", "category_id")}


def single_objects(dataset_dict: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a dataset dict that aren't crowd regions."""
    return [a for a in dataset_dict.get("annotations", []) if not a.get("iscrowd", 0)]


def jitter_color(rng: np.random.Generator, image: np.ndarray, amount: float) -> np.ndarray:
    """Multiplies brightness, contrast and saturation by random factors in [1 - amount, 1 + amount].

    The three are combined into one affine map of the colour vector, so pixels are rounded once.

    Args:
        rng: random number generator.
        image: (H, W, 3) uint8, BGR.
        amount: in [0, 1]; 0 returns the image itself.
    """
    if amount == 0:
        return image
    brightness, contrast, saturation = rng.uniform(1 - amount, 1 + amount, size=3)
    luma = np.tile([0.114, 0.587, 0.299], (3, 1))
    scale = brightness * contrast
    matrix = scale * (saturation * np.eye(3) + (1 - saturation) * luma)
    offset = np.full((3, 1), brightness * (1 - contrast) * float(cv2.mean(image)[1]))
    return cv2.transform(image, np.hstack([matrix, offset]).astype(np.float32))
