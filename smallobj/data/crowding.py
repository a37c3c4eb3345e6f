"""How many objects lie together in images and tiles, against the limits of the config."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from smallobj.config.test import MOST_DETECTIONS
from smallobj.data.build import resize_at_test
from smallobj.data.survey import resized_to
from smallobj.geometry.boxes import annotation_boxes
from smallobj.geometry.tiling import plan_tiles

_logger = logging.getLogger(__name__)
# Detections allowed in an image over its objects: wrong detections among the best need room, too.
_ROOM = 2


@dataclasses.dataclass(frozen=True)
class Crowding:
    """The numbers of objects in the images of some datasets, without crowd regions.

    Attributes:
        counts: (M,) int, objects of each image.
        most: objects of the image that has most.
        file: that image; "" without images.
        in_test_tile: most objects whose centres lie in one test tile, or in one image without
            tiling.
        in_training_tile: the same for a square of INPUT.TILE.SIZE; 0 if training doesn't cut tiles.
    """

    counts: np.ndarray
    most: int
    file: str
    in_test_tile: int
    in_training_tile: int

    def __str__(self) -> str:
        return f"at most {self.most} objects in an image ({self.file or 'no image'})"


def measure_crowding(cfg: CfgNode, names: Sequence[str]) -> Crowding:
    """Counts objects in registered datasets, in tiles as the config cuts them.

    Images without a height or width are only counted as a whole.
    """
    crowded = sorted(_images(cfg, names), key=lambda image: -len(image[1]))
    counts = np.array([len(centres) for _, centres, *_ in crowded], dtype=np.int64)
    tile = cfg.TEST.TILE
    # What is wrong about the tiles is said where they are used.
    is_tiled = tile.ENABLED and 0 <= tile.OVERLAP < tile.SIZE
    side, overlap = (tile.SIZE, tile.OVERLAP) if is_tiled else (0, 0)
    training = cfg.INPUT.TILE.SIZE if cfg.INPUT.MAPPER == "TileMapper" else 0
    training = max(training, 0)
    scaled = [(centres * scale, size) for _, centres, scale, size, _ in crowded]
    original = [(centres, size) for _, centres, _, _, size in crowded]
    return Crowding(
        counts=counts,
        most=int(counts.max(initial=0)),
        file=crowded[0][0] if crowded else "",
        in_test_tile=_most_in_tile(scaled, side, overlap),
        # A training tile may lie anywhere; this grid comes near the worst place.
        in_training_tile=_most_in_tile(original, training, training // 2) if training else 0,
    )


def detections_needed(most: int, limit: int) -> int:
    """TEST.DETECTIONS_PER_IMAGE for images of up to ``most`` objects, where it is ``limit`` now.

    The default grows with the data. A number that somebody chose is enough, unless it is smaller
    than ``most``.

    >>> detections_needed(360, MOST_DETECTIONS), detections_needed(700, MOST_DETECTIONS)
    (1000, 1400)
    >>> detections_needed(360, 500), detections_needed(360, 100)
    (500, 1000)
    """
    is_enough = limit >= most and limit != MOST_DETECTIONS
    return limit if is_enough else max(MOST_DETECTIONS, _ROOM * most)


def training_limit(most: int, cfg: CfgNode) -> int:
    """TEST.DETECTIONS_PER_IMAGE of a training on images of up to ``most`` objects.

    The default is raised; a number that somebody chose stays.
    """
    limit = cfg.TEST.DETECTIONS_PER_IMAGE
    return detections_needed(most, limit) if limit == MOST_DETECTIONS else limit


def resolve_detection_limit(cfg: CfgNode, names: Sequence[str]) -> CfgNode:
    """Raises the default of TEST.DETECTIONS_PER_IMAGE for crowded data, and logs what is too low.

    The config is changed in place and returned.
    """
    crowding = measure_crowding(cfg, names)
    limit = training_limit(crowding.most, cfg)
    if limit != cfg.TEST.DETECTIONS_PER_IMAGE:
        cfg.TEST.DETECTIONS_PER_IMAGE = limit
        _logger.info(
            "TEST.DETECTIONS_PER_IMAGE is %d in place of %d: %s has %d objects",
            limit,
            MOST_DETECTIONS,
            crowding.file,
            crowding.most,
        )
    for warning in limit_warnings(cfg, crowding):
        _logger.warning("%s", warning)
    return cfg


def limit_warnings(cfg: CfgNode, crowding: Crowding) -> list[str]:
    """A sentence for each key of the config that allows fewer objects than the data show."""
    if cfg.MODEL.META_ARCHITECTURE == "FocusNet":  # finds no boxes
        return []
    limit = cfg.TEST.DETECTIONS_PER_IMAGE
    warnings = []
    if crowding.most > limit:
        over = int((crowding.counts > limit).sum())
        warnings.append(
            f"{over} of {len(crowding.counts)} images have more objects than "
            f"TEST.DETECTIONS_PER_IMAGE {limit} allows (the most: {crowding.most}, "
            f"{crowding.file}), and the rest will not be found; set it to "
            f"{detections_needed(crowding.most, limit)}"
        )
    key, value = _tile_limit(cfg)
    if key and crowding.in_test_tile > value:
        where = "test tile" if cfg.TEST.TILE.ENABLED else "test image"
        warnings.append(
            f"a {where} has {crowding.in_test_tile} objects, and {key} {value} allows fewer; set "
            f"it to at least {_ROOM * crowding.in_test_tile}"
        )
    heads = cfg.MODEL.ROI_HEADS
    sampled = int(heads.BATCH_SIZE_PER_IMAGE * heads.POSITIVE_FRACTION)
    if cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN" and crowding.in_training_tile > sampled:
        warnings.append(
            f"a training tile has {crowding.in_training_tile} objects, of which a step learns "
            f"from at most {sampled} (MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE "
            f"{heads.BATCH_SIZE_PER_IMAGE} times POSITIVE_FRACTION {heads.POSITIVE_FRACTION:g}); "
            "raise the former, or lower INPUT.TILE.SIZE"
        )
    return warnings


def _tile_limit(cfg: CfgNode) -> tuple[str, int]:
    """The key that limits the boxes of a tile before NMS, beside TEST, and its value."""
    if cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN":
        return "MODEL.RPN.POST_NMS_TOPK_TEST", int(cfg.MODEL.RPN.POST_NMS_TOPK_TEST)
    nodes = {"RetinaNet": "RETINANET", "SSD": "SSD", "RefineDet": "REFINEDET", "YOLOv3": "YOLO"}
    node = nodes.get(cfg.MODEL.META_ARCHITECTURE)
    if node is None:
        return "", 0
    return f"MODEL.{node}.TOPK_CANDIDATES_TEST", int(cfg.MODEL[node].TOPK_CANDIDATES_TEST)


def _images(
    cfg: CfgNode, names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray, tuple[int, int], tuple[int, int]]]:
    """File, centres (n, 2), scale (2,) and size (h, w) at test time, and size of the file."""
    resize = resize_at_test(cfg)
    for name in names:
        for record in DatasetCatalog.get(name):
            kept = [a for a in record.get("annotations", []) if not a.get("iscrowd", 0)]
            boxes = annotation_boxes(kept)
            size = (int(record.get("height") or 0), int(record.get("width") or 0))
            resized = resized_to(size, resize) if all(size) else size
            scale = np.array(resized[::-1]) / size[::-1] if all(size) else np.ones(2)
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            yield str(record.get("file_name", "")), centres, scale, resized, size


def _most_in_tile(
    images: Sequence[tuple[np.ndarray, tuple[int, int]]], side: int, overlap: int
) -> int:
    """The most centres in one tile.

    Args:
        images: centres (n, 2) and size (h, w); those with most centres first.
        side, overlap: of the tiles; a side of 0 takes whole images.
    """
    most = 0
    for centres, size in images:
        if len(centres) <= most:
            break  # a tile has no more than its image
        if not side or not all(size):
            most = len(centres)
            continue
        for x0, y0, x1, y1 in plan_tiles(size, side, overlap).tolist():
            inside = (centres >= (x0, y0)).all(axis=1) & (centres < (x1, y1)).all(axis=1)
            most = max(most, int(inside.sum()))
    return most
