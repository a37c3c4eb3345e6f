"""Image sizes and boxes of datasets, in pixels of the network's input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import transforms as T

from smallobj.data.build import resize_at_test
from smallobj.geometry.boxes import annotation_boxes


@dataclasses.dataclass(frozen=True)
class Survey:
    """Images and boxes of some datasets, without crowd regions.

    Attributes:
        names: names of the datasets.
        image_sizes: (M, 2) int (h, w) of the network's input, after the resizing at test time.
        original_sizes: (M, 2) int (h, w) of the files.
        boxes: M arrays (n, 4) XYXY, in the pixels of ``image_sizes``.
        classes: (N,) int, class of every object.
        class_names: names of the classes; may be empty.
    """

    names: tuple[str, ...]
    image_sizes: np.ndarray
    original_sizes: np.ndarray
    boxes: list[np.ndarray]
    classes: np.ndarray | None = None
    class_names: tuple[str, ...] = ()

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
        """Whether images are resized for the network."""
        return not np.array_equal(self.image_sizes, self.original_sizes)

    @property
    def most_objects(self) -> int:
        """The number of objects of the image that has most."""
        return max(map(len, self.boxes))

    def example(self) -> int:
        """Index of the image to illustrate a plan with: the one with most objects."""
        return int(np.argmax([len(boxes) for boxes in self.boxes]))


def box_sides(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 2) w and h of the boxes of several images."""
    together = np.concatenate([*boxes, np.zeros((0, 4))])
    return together[:, 2:] - together[:, :2]


def survey_datasets(cfg: CfgNode, names: Sequence[str]) -> Survey:
    """Reads registered datasets without decoding images.

    Args:
        cfg: the config; :func:`smallobj.data.build.resize_at_test` says how images are resized.
        names: at least one dataset.

    Raises:
        ValueError: the datasets have no object, or an image has no height and width.
    """
    resize = resize_at_test(cfg)
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    originals, boxes = [], []
    classes: list[int] = []
    for name in names:
        for record in DatasetCatalog.get(name):
            if not record.get("height") or not record.get("width"):
                raise ValueError(
                    f"dataset {name}: each image must have a height and width; "
                    f"{record.get('file_name')} has none"
                )
            size = (record["height"], record["width"])
            seen.setdefault(size, resized_to(size, resize))
            originals.append(size)
            kept = [a for a in record.get("annotations", []) if not a.get("iscrowd", 0)]
            scale = np.array(seen[size][::-1]) / size[::-1]
            boxes.append(annotation_boxes(kept) * np.tile(scale, 2))
            classes.extend(a["category_id"] for a in kept)
    if not sum(map(len, boxes)):
        raise ValueError(
            f"a plan needs at least one labelled object; {', '.join(names)} has none. Give "
            "--register or DATASETS.TRAIN a dataset with labels"
        )
    return Survey(
        names=tuple(names),
        image_sizes=np.array([seen[size] for size in originals]),
        original_sizes=np.array(originals),
        boxes=boxes,
        classes=np.array(classes),
        class_names=tuple(MetadataCatalog.get(names[0]).get("thing_classes", ())),
    )


def resized_to(size: tuple[int, int], resize: T.Augmentation) -> tuple[int, int]:
    """(h, w) of an image after a resizing."""
    # The transform only needs the shape; this view of a single number takes no memory.
    transform = resize.get_transform(np.broadcast_to(np.uint8(0), (*size, 3)))
    if isinstance(transform, T.NoOpTransform):
        return size
    return transform.new_h, transform.new_w
