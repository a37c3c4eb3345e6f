"""Objects that tiles cut: how many, of which classes, and what to change."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj.data.build import resize_at_test
from smallobj.data.survey import resized_to
from smallobj.geometry.boxes import annotation_boxes

_logger = logging.getLogger(__name__)
_MOST_CLASSES = 5
# Sides of tiles are multiples of this, the stride of the coarsest features.
_MULTIPLE = 32


def warn_of_long_objects(cfg: CfgNode, with_training: bool = True) -> None:
    """Logs a warning each if training or test tiles cut objects; reads the labels only.

    Args:
        cfg: its datasets are registered.
        with_training: also look at DATASETS.TRAIN.
    """
    warnings = [test_warning(cfg, cfg.DATASETS.TEST)]
    if with_training:
        warnings.insert(0, training_warning(cfg, cfg.DATASETS.TRAIN))
    for warning in filter(None, warnings):
        _logger.warning(warning)


def training_warning(cfg: CfgNode, names: Sequence[str]) -> str:
    """Says which objects are longer than the training tile; "" if there are none."""
    tile = cfg.INPUT.TILE.SIZE
    if cfg.INPUT.MAPPER != "TileMapper":
        return ""
    sides, _, classes = _objects(names)
    longest = sides.max(axis=1, initial=0)
    is_long = longest > tile
    if not is_long.any():
        return ""
    visible = cfg.INPUT.TILE.MIN_VISIBLE
    most_visible = sides.clip(max=tile).prod(axis=1) / sides.prod(axis=1).clip(1e-9)
    hopeless = int((is_long & (most_visible < visible)).sum())
    found = counts_text(classes[is_long], _class_names(names))
    return (
        f"{share_text(is_long)} objects of {', '.join(names)} are longer than a training tile "
        f"(INPUT.TILE.SIZE {tile}): {found}; the longest has {longest.max():.0f} px. No tile shows "
        f"them whole. A piece trains as an object if it is {visible:.0%} of the object "
        f"(INPUT.TILE.MIN_VISIBLE), which no piece of {hopeless} is, else as background. "
        f"INPUT.TILE.SIZE {_padded(longest.max())} would hold all; tools/plan.py weighs it"
    )


def test_warning(cfg: CfgNode, names: Sequence[str]) -> str:
    """Says which objects test tiles may cut, as they are longer than the overlap; "" if none."""
    node = cfg.TEST.TILE
    if not node.ENABLED:
        return ""
    sides, images, classes = _objects(names, cfg)
    is_cut = images > node.SIZE  # images that fit into a tile are not cut
    limit = node.OVERLAP - 2 * node.SEAM_MARGIN
    is_long = (is_cut & (sides > limit)).any(axis=1)
    if not is_long.any():
        return ""
    never = int((is_cut & (sides > node.SIZE)).any(axis=1).sum())
    longest = sides[is_long].max()
    overlap = math.ceil(longest + 2 * node.SEAM_MARGIN)
    size = max(node.SIZE, _padded(2 * overlap))
    # Test tiles are at most twice as large as training tiles: docs/normalisation.md.
    is_far = cfg.INPUT.MAPPER == "TileMapper" and size > 2 * cfg.INPUT.TILE.SIZE
    training = f" (and INPUT.TILE.SIZE {_padded(size / 2)})" if is_far else ""
    found = counts_text(classes[is_long], _class_names(names))
    return (
        f"{share_text(is_long)} objects of {', '.join(names)} are longer than test tiles overlap "
        f"(TEST.TILE.OVERLAP {node.OVERLAP}, less {node.SEAM_MARGIN:g} px at each seam): "
        f"{found}; the longest has {longest:.0f} px. Tiles cut "
        f"them unless they happen to lie whole in one, and {never} are longer than a tile "
        f"(TEST.TILE.SIZE {node.SIZE}): such an object is found in pieces or not at all. "
        f"TEST.TILE.OVERLAP {overlap} with TEST.TILE.SIZE {size}{training} would hold all; "
        "tools/plan.py weighs it"
    )


def share_text(chosen: np.ndarray) -> str:
    """Number and share of the true values.

    >>> share_text(np.array([True, False, False, False]))
    '1 of 4 (25%)'
    """
    return f"{chosen.sum()} of {len(chosen)} ({100 * chosen.mean():.3g}%)"


def counts_text(classes: Iterable[int], class_names: Sequence[str]) -> str:
    """Names of classes with their counts, the most frequent first.

    >>> counts_text([1, 1, 0, 2], ["bolt", "nut"])
    'nut 2, bolt 1, class 2 1'
    """
    counts = Counter(int(index) for index in classes).most_common()
    parts = [
        f"{class_names[index] if index < len(class_names) else f'class {index}'} {count}"
        for index, count in counts[:_MOST_CLASSES]
    ]
    more = len(counts) - _MOST_CLASSES
    return ", ".join(parts) + (f" and {more} more classes" if more > 0 else "")


def _class_names(names: Sequence[str]) -> Sequence[str]:
    return MetadataCatalog.get(names[0]).get("thing_classes", ())


def _objects(
    names: Sequence[str], cfg: CfgNode | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides (N, 2) of objects, those (N, 2) of their images, both (w, h), and classes (N,).

    In pixels of the files; with ``cfg`` in those of the network's input at test time. Crowds are
    left out, and so are images without a size, which labels without images may have.
    """
    resize = None if cfg is None else resize_at_test(cfg)
    sides, images = [np.zeros((0, 2))], [np.zeros((0, 2))]
    classes: list[int] = []
    scales: dict[tuple[int, int], np.ndarray] = {}
    for name in names:
        for record in DatasetCatalog.get(name):
            size = (record.get("height") or 0, record.get("width") or 0)
            kept = [a for a in record.get("annotations", []) if not a.get("iscrowd", 0)]
            if not kept or not all(size):
                continue
            if size not in scales:
                seen = size if resize is None else resized_to(size, resize)
                scales[size] = np.array(seen[::-1]) / size[::-1]
            boxes = annotation_boxes(kept)
            sides.append((boxes[:, 2:] - boxes[:, :2]) * scales[size])
            images.append(np.tile(np.array(size[::-1]) * scales[size], (len(kept), 1)))
            classes.extend(a["category_id"] for a in kept)
    return np.concatenate(sides), np.concatenate(images), np.array(classes, dtype=int)


def _padded(length: float) -> int:
    return math.ceil(length / _MULTIPLE) * _MULTIPLE
