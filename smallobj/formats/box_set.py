"""What all formats hold in common: images with boxes, classes and, for detections, scores.

N: boxes of one image. K: classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from smallobj.data.labels.problems import Changes

# Coordinates are held to a millionth of a pixel: x + w and back, or shares of a side and back,
# then end at the same numbers.
DECIMALS = 6


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
    """

    file: str
    size: tuple[int, int] | None
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    crowd: np.ndarray | None = None
    image_id: int | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def crowds(self) -> list[bool]:
        """Whether each box is a crowd region."""
        return [False] * len(self) if self.crowd is None else self.crowd.tolist()

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

    def without_crowds(self) -> BoxSet:
        """The same without the regions that stand for many objects."""
        return replace(self, images=[_without_crowds(image) for image in self.images])


def _without_crowds(image: ImageBoxes) -> ImageBoxes:
    if image.crowd is None:
        return image
    kept = ~image.crowd
    scores = None if image.scores is None else image.scores[kept]
    return replace(
        image, boxes=image.boxes[kept], classes=image.classes[kept], scores=scores, crowd=None
    )


def short(value: float) -> float | int:
    """A coordinate as it is written: six decimals, and none where it is whole."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded
