"""Labels and detections of all images, one column each: what every metric of this package reads.

I: images. G: labels. D: detections. K: classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import faster_coco_eval.core.mask as mask_api
import numpy as np

from smallobj.evaluation.reading.ground_truth import ImageLabels
from smallobj.evaluation.reading.image_detections import Detections, ImageDetections

# Sides are held to so many decimals of a pixel: x + w - x is then the w of a file again, and not
# beside it by a rounding that decides whether an IoU of exactly 0.5 counts.
_DECIMALS = 9


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """(N,) float64, px², of (N, 4) XYXY boxes."""
    areas: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).round(_DECIMALS).prod(axis=1)
    return areas


@dataclass(frozen=True)
class LabelTable:
    """G labels.

    Attributes:
        images: (G,) int64, number of the image in the :class:`EvaluationSet`.
        categories: (G,) int64, contiguous from 0.
        boxes: (G, 4) float64, XYXY in pixels.
        areas: (G,) float64, px²: the label's own area where it has one, else the box's.
        crowd: (G,) bool, regions that stand for many objects.
        masks: (G,) objects, COCO's run-length masks; None where boxes are what counts.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: np.ndarray) -> LabelTable:
        """The labels at an index array or mask."""
        columns = (self.images, self.categories, self.boxes, self.areas, self.crowd)
        masks = None if self.masks is None else self.masks[chosen]
        return replace(LabelTable(*(column[chosen] for column in columns)), masks=masks)


@dataclass(frozen=True)
class DetectionTable:
    """D detections, in the order in which they were given; of equal scores the first is better.

    Attributes:
        images: (D,) int64, number of the image in the :class:`EvaluationSet`.
        categories: (D,) int64, contiguous from 0.
        boxes: (D, 4) float64, XYXY in pixels.
        scores: (D,) float64.
        masks: (D,) objects, COCO's run-length masks; None where boxes are what counts.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: np.ndarray) -> DetectionTable:
        """The detections at an index array or mask."""
        columns = (self.images, self.categories, self.boxes, self.scores)
        masks = None if self.masks is None else self.masks[chosen]
        return replace(DetectionTable(*(column[chosen] for column in columns)), masks=masks)

    @property
    def areas(self) -> np.ndarray:
        """(D,) float64, px²: of the masks where there are some, else of the boxes."""
        if self.masks is None:
            return box_areas(self.boxes)
        return np.array([mask_api.area(mask) for mask in self.masks], dtype=np.float64)


@dataclass(frozen=True)
class EvaluationSet:
    """What was to be found in a data set, and what was found.

    Attributes:
        image_ids: I ids, as the data set has them; labels and detections count images from 0.
        file_names: I paths.
        sizes: (I, 2) int64, (h, w) in pixels.
        class_names: K names.
        labels: of all images.
        detections: of all images.
        tiles: I arrays (T, 4) XYXY in pixels, what each image was read in; empty where that isn't
            known.
    """

    image_ids: Sequence[int | str]
    file_names: Sequence[str]
    sizes: np.ndarray
    class_names: Sequence[str]
    labels: LabelTable
    detections: DetectionTable
    tiles: Sequence[np.ndarray] = ()

    def with_detections(self, detections: DetectionTable) -> EvaluationSet:
        """The same labels beside other detections."""
        return replace(self, detections=detections)

    def with_tiles(self, tiles: Sequence[np.ndarray]) -> EvaluationSet:
        """The same, read in these tiles."""
        return replace(self, tiles=tiles)

    def by_image(self) -> Iterator[tuple[ImageLabels, ImageDetections]]:
        """Labels and detections of each image, in the order of ``image_ids``."""
        places = np.arange(len(self.image_ids) + 1)
        rows = []
        for table in (self.labels, self.detections):
            order = np.argsort(table.images, kind="stable")
            rows.append((order, np.searchsorted(table.images[order], places)))
        (of_labels, first_label), (of_found, first_found) = rows
        for number, one in enumerate(self.image_ids):
            own = self.labels[of_labels[first_label[number] : first_label[number + 1]]]
            found = self.detections[of_found[first_found[number] : first_found[number + 1]]]
            height, width = self.sizes[number].tolist()
            yield (
                ImageLabels(one, (height, width), own.boxes, own.categories, own.crowd, own.areas),
                ImageDetections(found.boxes, found.scores, found.categories),
            )

    @classmethod
    def of(
        cls,
        labels: Sequence[ImageLabels],
        found: Detections,
        class_names: Sequence[str],
        file_names: Sequence[str] = (),
    ) -> EvaluationSet:
        """From labels and detections by image, as an evaluator has them.

        Args:
            labels: of every image.
            found: by image id; images that are missing have no detections.
            class_names: K names.
            file_names: one each; the image ids stand in for them where there are none.
        """
        ids = [image.image_id for image in labels]
        seen = [(number, found[one]) for number, one in enumerate(ids) if one in found]
        tiles = [found[one].tiles for one in ids if one in found]
        return cls(
            image_ids=ids,
            file_names=list(file_names) or [str(one) for one in ids],
            sizes=np.array([image.size for image in labels], dtype=np.int64).reshape(-1, 2),
            class_names=list(class_names),
            labels=LabelTable(
                _numbers([(i, len(image.boxes)) for i, image in enumerate(labels)]),
                _column([image.categories for image in labels], np.int64),
                _column([image.boxes for image in labels], np.float64).reshape(-1, 4),
                _column([image.areas for image in labels], np.float64),
                _column([image.crowd for image in labels], bool),
                _mask_column([image.masks for image in labels]),
            ),
            detections=DetectionTable(
                _numbers([(i, len(one.scores)) for i, one in seen]),
                _column([one.categories for _, one in seen], np.int64),
                _column([one.boxes for _, one in seen], np.float64).reshape(-1, 4),
                _column([one.scores for _, one in seen], np.float64),
                _mask_column([one.masks for _, one in seen]),
            ),
            # Of some images only it would be no property of the set.
            tiles=[t for t in tiles if t is not None] if _is_told(tiles, len(ids)) else (),
        )


def _is_told(tiles: Sequence[np.ndarray | None], images: int) -> bool:
    return len(tiles) == images and all(one is not None for one in tiles)


def _numbers(counts: Sequence[tuple[int, int]]) -> np.ndarray:
    numbers = np.array([number for number, _ in counts], dtype=np.int64)
    return np.repeat(numbers, [count for _, count in counts])


def _column(parts: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(0, kind)


def _mask_column(parts: Sequence[list[dict[str, Any]] | None]) -> np.ndarray | None:
    """The masks of all images in one column; None where an image has none."""
    if any(part is None for part in parts):
        return None
    masks = [mask for part in parts for mask in part or ()]
    column = np.empty(len(masks), dtype=object)
    column[:] = masks
    return column
