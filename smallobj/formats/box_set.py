"""What all formats hold in common: images with boxes, classes and, for detections, scores.

N: boxes of one image. K: classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from smallobj.data.labels.problems import Changes
from smallobj.geometry.masks import Rle

# Polygons x1, y1, x2, y2, ... in pixels, or COCO's compressed run-length code.
Segmentation = list[list[float]] | Rle

# Coordinates are held to a millionth of a pixel: x + w and back, or shares of a side and back,
# then end at the same numbers.
DECIMALS = 6
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageBoxes:
    """One image.

    Attributes:
        file: path below the folder of images, "/" between folders.
        size: (h, w) in pixels, None where the format does not say it.
        boxes: (N, 4) float64, XYXY in pixels, rounded to ``DECIMALS``.
        classes: (N,) int64, contiguous from 0.
        scores: (N,) float64 from 0 to 1, None for labels.
        crowd: (N,) bool, regions that stand for many objects; None stands for none.
        image_id: of a COCO file, None elsewhere.
        segmentations: N masks as in COCO, polygons or a run-length code, None for a box alone;
            None stands for none.
    """

    file: str
    size: tuple[int, int] | None
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    crowd: np.ndarray | None = None
    image_id: int | None = None
    segmentations: Sequence[Segmentation | None] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def crowds(self) -> list[bool]:
        """Whether each box is a crowd region."""
        return [False] * len(self) if self.crowd is None else self.crowd.tolist()

    @property
    def masks(self) -> list[Segmentation | None]:
        """The mask of each box, None for a box alone."""
        return [None] * len(self) if self.segmentations is None else list(self.segmentations)

    @property
    def score_list(self) -> list[float | None]:
        """The score of each box, None for labels."""
        return [None] * len(self) if self.scores is None else self.scores.tolist()

    def needed_size(self, target: str) -> tuple[int, int]:
        """(h, w), which the format ``target`` cannot do without.

        Raises:
            ValueError: it is unknown.
        """
        if self.size is None:
            raise ValueError(
                f"{self.file}: {target} needs the size of each image; got none "
                "(name the folder of images: --images)"
            )
        return self.size


@dataclass(frozen=True)
class BoxSet:
    """Labels or detections of a set of images.

    Attributes:
        images: in the order of their file.
        class_names: K names.
        category_ids: K ids of a COCO file; empty elsewhere.
        changes: what reading fixed or dropped.
    """

    images: Sequence[ImageBoxes]
    class_names: Sequence[str]
    category_ids: Sequence[int] = ()
    changes: Changes = field(default_factory=Changes, compare=False)

    @property
    def has_scores(self) -> bool:
        """Whether these are detections: some image carries scores."""
        return any(image.scores is not None for image in self.images)

    def without_scores(self) -> BoxSet:
        """The same boxes as labels."""
        return replace(self, images=[replace(image, scores=None) for image in self.images])

    def without_masks(self) -> BoxSet:
        """The boxes alone."""
        images = [replace(image, segmentations=None) for image in self.images]
        return replace(self, images=images)

    def without_crowds(self) -> BoxSet:
        """The same without the regions that stand for many objects."""
        return replace(self, images=[_without_crowds(image) for image in self.images])


def _without_crowds(image: ImageBoxes) -> ImageBoxes:
    if image.crowd is None:
        return image
    kept = ~image.crowd
    scores = None if image.scores is None else image.scores[kept]
    masks = [mask for mask, is_kept in zip(image.masks, kept, strict=True) if is_kept]
    return replace(
        image,
        boxes=image.boxes[kept],
        classes=image.classes[kept],
        scores=scores,
        crowd=None,
        segmentations=None if image.segmentations is None else masks,
    )


def short(value: float) -> float | int:
    """A coordinate as it is written: six decimals, and none where it is whole."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def only_polygon(mask: Segmentation | None) -> list[float] | None:
    """The polygon of a mask that consists of one: x1, y1, x2, y2, ...; None for other masks."""
    return mask[0] if isinstance(mask, list) and len(mask) == 1 else None


def warn_of_masks(boxes: BoxSet, target: str) -> None:
    """Logs how many masks a format that holds one polygon an object replaces by their boxes."""
    masks = [mask for image in boxes.images for mask in image.masks if mask is not None]
    lost = sum(only_polygon(mask) is None for mask in masks)
    if lost:
        _logger.warning(
            "%s holds one polygon an object: %d of %d masks are of several parts or of pixels, and "
            "only their boxes are written",
            *(target, lost, len(masks)),
        )
