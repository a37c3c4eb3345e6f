"""Data loaders from a config."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import (
    DatasetFromList,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.data import transforms as T
from detectron2.data.build import _test_loader_from_config, _train_loader_from_config
from detectron2.data.common import ToIterableDataset
from torch.utils.data import IterableDataset

from smallobj.data.broken_images import (
    BrokenImages,
    ReadableImages,
    WatchedLoader,
    read_or_blank,
)
from smallobj.data.image_file import check_format, read_image
from smallobj.data.mappers.focus import read_reduced
from smallobj.data.mappers.registry import build_train_mapper
from smallobj.data.mappers.squash import squash_of
from smallobj.data.worker_signals import outlive_signals
from smallobj.images.pixels import PixelConversion


class ShuffledTiles(IterableDataset):
    """Flattens an iterable of tile lists and shuffles tiles of successive images.

    An element of ``source`` may also be a single dict instead of a list.
    """

    def __init__(self, source: Iterable[Any], buffer: int) -> None:
        """
        Args:
            source: results of a mapper, image by image.
            buffer: number of tiles in the buffer from which tiles are drawn at random.
        """
        self.source = source
        self.buffer = max(buffer, 1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        held: list[dict[str, Any]] = []
        for mapped in self.source:
            for tile in mapped if isinstance(mapped, list) else [mapped]:
                held.append(tile)
                if len(held) >= self.buffer:
                    index = random.randrange(len(held))
                    held[index], held[-1] = held[-1], held[index]
                    yield held.pop()


def build_train_loader(cfg: CfgNode) -> WatchedLoader:
    """Builds an endless loader of batches of SOLVER.IMS_PER_BATCH tiles.

    Up to DATALOADER.MAX_BROKEN_IMAGES images that can't be read are left out.
    Sampler, filtering and sharding over processes are those of Detectron2.
    """
    mapper = build_train_mapper(cfg)
    options = _train_loader_from_config(cfg, mapper=mapper)
    records = DatasetFromList(options["dataset"], copy=False)
    broken = BrokenImages(records, cfg.DATALOADER.MAX_BROKEN_IMAGES)
    images = ReadableImages(records, mapper, broken)
    stream = ToIterableDataset(images, options["sampler"])
    loader = build_detection_train_loader(
        ShuffledTiles(stream, cfg.INPUT.TILE.SHUFFLE_BUFFER),
        mapper=None,
        total_batch_size=options["total_batch_size"],
        # Not needed, since all tiles have the same shape.
        aspect_ratio_grouping=False,
        num_workers=options["num_workers"],
    )
    return WatchedLoader(outlive_signals(loader), broken)


def resize_at_test(cfg: CfgNode) -> T.Augmentation:
    """The resizing set by INPUT.SQUASH, or by MIN_SIZE_TEST and MAX_SIZE_TEST (0: no resizing).

    Raises:
        ValueError: as in :func:`squash_of`.
    """
    squash = squash_of(cfg)
    if squash is not None:
        return squash
    size = cfg.INPUT.MIN_SIZE_TEST
    return T.ResizeShortestEdge([size, size], cfg.INPUT.MAX_SIZE_TEST)


def check_native_resolution(cfg: CfgNode, who: str) -> None:
    """Checks that images aren't resized at test time.

    Args:
        cfg: the config.
        who: the start of the message: a sentence that says what needs every pixel.

    Raises:
        ValueError: images are resized at test time.
    """
    if cfg.INPUT.MIN_SIZE_TEST:
        raise ValueError(f"{who}; it needs INPUT.MIN_SIZE_TEST 0; got {cfg.INPUT.MIN_SIZE_TEST}")
    if any(cfg.INPUT.SQUASH):
        raise ValueError(f"{who}; it needs INPUT.SQUASH (0, 0); got {tuple(cfg.INPUT.SQUASH)}")


def resize_on_reading(cfg: CfgNode) -> T.Augmentation | None:
    """:func:`resize_at_test`, or None for an ensemble, whose members resize images themselves."""
    return None if cfg.TEST.ENSEMBLE.MEMBERS else resize_at_test(cfg)


def image_tensor(
    image: np.ndarray, resize: T.Augmentation | None, image_format: str
) -> torch.Tensor:
    """Converts an image to the input of a model.

    Args:
        image: (H, W, 3) uint8, BGR.
        resize: result of :func:`resize_at_test`; None: no resizing.
        image_format: INPUT.FORMAT, "BGR" or "RGB".

    Returns:
        (3, h, w) uint8, channels-last in memory. If possible it shares the memory of ``image``, so
        that a model that reads only windows doesn't wait for a copy of the whole image.
    """
    if check_format(image_format) == "RGB":
        image = image[:, :, ::-1]
    if resize is not None:
        image = resize.get_transform(image).apply_image(image)
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)


class WholeImageMapper:
    """Reads an image for testing, resized by :func:`resize_on_reading`."""

    def __init__(self, cfg: CfgNode) -> None:
        self.resize = resize_on_reading(cfg)
        self.image_format = cfg.INPUT.FORMAT
        self.conversion = PixelConversion.from_config(cfg)

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        image, broken = read_or_blank(
            dataset_dict,
            lambda: read_image(dataset_dict["file_name"], conversion=self.conversion),
        )
        return {
            **broken,
            **{key: value for key, value in dataset_dict.items() if key != "annotations"},
            "height": image.shape[0],
            "width": image.shape[1],
            "image": image_tensor(image, self.resize, self.image_format),
        }


class ReducedImageMapper:
    """Reads an image at 1/MODEL.FOCUS.REDUCTION of its size, for testing a FocusNet."""

    def __init__(self, cfg: CfgNode) -> None:
        self.reduction = cfg.MODEL.FOCUS.REDUCTION
        self.image_format = cfg.INPUT.FORMAT
        self.conversion = PixelConversion.from_config(cfg)

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        image, broken = read_or_blank(
            dataset_dict,
            lambda: read_reduced(dataset_dict, self.reduction, self.conversion),
            self.reduction,
        )
        return {
            **broken,
            "height": image.shape[0] * self.reduction,
            "width": image.shape[1] * self.reduction,
            **{key: value for key, value in dataset_dict.items() if key != "annotations"},
            "image": image_tensor(image, None, self.image_format),
        }


def build_test_mapper(cfg: CfgNode) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Builds the mapper that reads test images; reduced for a network trained on reduced images."""
    return ReducedImageMapper(cfg) if cfg.INPUT.MAPPER == "FocusMapper" else WholeImageMapper(cfg)


def build_test_loader(cfg: CfgNode, dataset_name: str) -> Iterable[list[dict[str, Any]]]:
    """Builds a loader of whole images, one at a time; each rank reads its share."""
    mapper = build_test_mapper(cfg)
    options = _test_loader_from_config(cfg, dataset_name, mapper=mapper)
    return outlive_signals(build_detection_test_loader(**options))
