"""What datasets hold, in the pixels that the network sees: image sizes and boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data import transforms as T

from smallobj.data.build import resize_at_test
from smallobj.geometry.boxes import annotation_boxes


@dataclasses.dataclass(frozen=True)
class Survey:
    """Images and boxes of some datasets, crowd regions left out.

    Attributes:
        names: of the datasets.
        image_sizes: (M, 2) int (h, w) as the network sees them, after INPUT.MIN_SIZE_TEST.
        original_sizes: (M, 2) int (h, w) of the files.
        boxes: M arrays (n, 4) XYXY, in the pixels of ``image_sizes``.
    """

    names: tuple[str, ...]
    image_sizes: np.ndarray
    original_sizes: np.ndarray
    boxes: list[np.ndarray]

    @property
    def sides(self) -> np.ndarray:
        """(N, 2) w and h of every object."""
        return box_sides(self.boxes)

    @property
    def longest(self) -> np.ndarray:
        """(N,) longer side of every object."""
        return self.sides.max(axis=1)

    @property
    def resized(self) -> bool:
        """Whether the network sees other pixels than the files hold."""
        return not np.array_equal(self.image_sizes, self.original_sizes)

    def example(self) -> int:
        """Index of the image that shows best what a plan does: the one with most objects."""
        return int(np.argmax([len(boxes) for boxes in self.boxes]))


def box_sides(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 2) w and h of the boxes of several images."""
    together = np.concatenate([*boxes, np.zeros((0, 4))])
    return together[:, 2:] - together[:, :2]


def survey_datasets(cfg: CfgNode, names: Sequence[str]) -> Survey:
    """Reads registered datasets; no pixel is decoded.

    Args:
        cfg: INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST say how images are resized.
        names: datasets, one at least.

    Raises:
        ValueError: the datasets hold no object, or an image does not tell its size.
    """
    resize = resize_at_test(cfg)
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    originals, boxes = [], []
    for name in names:
        for record in DatasetCatalog.get(name):
            if not record.get("height") or not record.get("width"):
                raise ValueError(
                    f"dataset {name}: each image must tell its height and width; "
                    f"{record.get('file_name')} does not"
                )
            size = (record["height"], record["width"])
            seen.setdefault(size, resized_to(size, resize))
            originals.append(size)
            kept = [a for a in record.get("annotations", []) if not a.get("iscrowd", 0)]
            scale = np.array(seen[size][::-1]) / size[::-1]
            boxes.append(annotation_boxes(kept) * np.tile(scale, 2))
    if not sum(map(len, boxes)):
        raise ValueError(f"a plan needs one labelled object at least; {', '.join(names)} has none")
    return Survey(
        names=tuple(names),
        image_sizes=np.array([seen[size] for size in originals]),
        original_sizes=np.array(originals),
        boxes=boxes,
    )


def resized_to(size: tuple[int, int], resize: T.Augmentation) -> tuple[int, int]:
    """(h, w) of an image after a resizing."""
    # Only the shape is looked at; this view of a single number takes no memory.
    transform = resize.get_transform(np.broadcast_to(np.uint8(0), (*size, 3)))
    if isinstance(transform, T.NoOpTransform):
        return size
    return transform.new_h, transform.new_w
