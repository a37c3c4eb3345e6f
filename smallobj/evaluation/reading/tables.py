"""Labels and detections of all images, one column each: what every metric of this package reads.

I: images. G: labels. D: detections. K: classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import faster_coco_eval.core.mask as mask_api
import numpy as np

from smallobj.geometry.masks import Rle

# Sides are rounded to this many decimals of a pixel. Otherwise x + w - x may miss the w of the file
# by a rounding error, which decides whether an IoU of exactly 0.5 counts.
_DECIMALS = 9


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """(N,) float64, px², of (N, 4) XYXY boxes."""
    areas: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).round(_DECIMALS).prod(axis=1)
    return areas


@dataclass(frozen=True)
class _Table:
    """Rows of boxes, a column each; the labels or detections of one image are such rows, too."""

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: np.ndarray | slice) -> Self:
        """The rows at an index array, mask or slice."""
        columns: dict[str, Any] = {
            # All columns there are, so that those of a subclass are never left behind.
            name: None if column is None else column[chosen]
            for name, column in vars(self).items()
        }
        return type(self)(**columns)

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        raise NotImplementedError

    @classmethod
    def from_images(cls, tables: Mapping[int, Self]) -> Self:
        """One table of several images'.

        Args:
            tables: by image number, which replaces the column ``images`` of the table. Masks are
                kept if all tables have them.
        """
        if not tables:
            return cls.empty()
        columns: dict[str, Any] = {
            name: _joined([vars(table)[name] for table in tables.values()])
            for name in vars(next(iter(tables.values())))
        }
        counts = [len(table) for table in tables.values()]
        columns["images"] = np.repeat(np.array(list(tables), dtype=np.int64), counts)
        return cls(**columns)


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


@dataclass(frozen=True)
class LabelTable(_Table):
    """G labels.

    Attributes:
        images: (G,) int64, number of the image in the :class:`EvaluationSet`.
        categories: (G,) int64, contiguous from 0.
        boxes: (G, 4) float64, XYXY in pixels.
        areas: (G,) float64, px²: the label's own area where it has one, else the box's.
        crowd: (G,) bool, regions that stand for many objects.
        masks: (G,) objects, COCO's run-length masks; None where boxes are what counts.
    """

    areas: np.ndarray
    crowd: np.ndarray
    masks: np.ndarray | None = None

    @classmethod
    def empty(cls) -> LabelTable:
        """No labels."""
        return cls.single_image(np.zeros((0, 4)), np.zeros(0))

    @classmethod
    def single_image(
        cls,
        boxes: np.ndarray,
        categories: np.ndarray,
        *,
        areas: np.ndarray | None = None,
        crowd: np.ndarray | None = None,
        masks: Sequence[Rle] | None = None,
    ) -> LabelTable:
        """The labels of one image, which is number 0.

        Args:
            boxes: (G, 4) XYXY in pixels.
            categories: (G,).
            areas: (G,) px²; None takes the boxes'.
            crowd: (G,); None: no label is one.
            masks: G run-length masks.
        """
        return cls(
            np.zeros(len(boxes), dtype=np.int64),
            categories.astype(np.int64),
            boxes.astype(np.float64),
            box_areas(boxes) if areas is None else areas.astype(np.float64),
            np.zeros(len(boxes), dtype=bool) if crowd is None else crowd.astype(bool),
            None if masks is None else _mask_column(masks),
        )


@dataclass(frozen=True)
class DetectionTable(_Table):
    """D detections, in the order in which they were given; of equal scores the first is better.

    Attributes:
        images: (D,) int64, number of the image in the :class:`EvaluationSet`.
        categories: (D,) int64, contiguous from 0.
        boxes: (D, 4) float64, XYXY in pixels.
        scores: (D,) float64.
        masks: (D,) objects, COCO's run-length masks; None where boxes are what counts.
    """

    scores: np.ndarray
    masks: np.ndarray | None = None

    @classmethod
    def empty(cls) -> DetectionTable:
        """No detections."""
        return cls.single_image(np.zeros((0, 4)), np.zeros(0), np.zeros(0))

    @classmethod
    def single_image(
        cls,
        boxes: np.ndarray,
        scores: np.ndarray,
        categories: np.ndarray,
        masks: Sequence[Rle] | None = None,
    ) -> DetectionTable:
        """The detections of one image, which is number 0.

        Args:
            boxes: (D, 4) XYXY in pixels.
            scores, categories: (D,).
            masks: D run-length masks.
        """
        return cls(
            np.zeros(len(boxes), dtype=np.int64),
            categories.astype(np.int64),
            boxes.astype(np.float64),
            scores.astype(np.float64),
            None if masks is None else _mask_column(masks),
        )

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
        tiles: I arrays (T, 4) XYXY in pixels, the tiles in which each image was read; empty if
            they are unknown.
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

    def with_image_detections(self, found: Mapping[int | str, DetectionTable]) -> EvaluationSet:
        """The same labels beside detections by image id.

        Args:
            found: by image id. Images that are missing have no detections; ids that aren't in
                this set are left out.
        """
        numbers = enumerate(self.image_ids)
        tables = {number: found[image_id] for number, image_id in numbers if image_id in found}
        return self.with_detections(DetectionTable.from_images(tables))

    def by_image(self) -> Iterator[tuple[LabelTable, DetectionTable]]:
        """Labels and detections of each image, in the order of ``image_ids``."""
        places = np.arange(len(self.image_ids) + 1)
        # Stable: the order within an image decides between equal scores and equal IoUs.
        labels = self.labels[np.argsort(self.labels.images, kind="stable")]
        detections = self.detections[np.argsort(self.detections.images, kind="stable")]
        # Slices of sorted tables: a mask for each image would read all rows I times.
        label_start = np.searchsorted(labels.images, places)
        start = np.searchsorted(detections.images, places)
        for number in range(len(self.image_ids)):
            yield (
                labels[label_start[number] : label_start[number + 1]],
                detections[start[number] : start[number + 1]],
            )


def _mask_column(masks: Sequence[Rle]) -> np.ndarray:
    """(N,) objects."""
    column = np.empty(len(masks), dtype=object)
    column[:] = masks
    return column
