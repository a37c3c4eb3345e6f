"""Training tiles per second on one core: TileMapper and Detectron2's DatasetMapper."""

from __future__ import annotations

from typing import Any

import cv2
import torch
from detectron2.data import DatasetMapper

from benchmarks.pairing import Timing, time_in_turns
from smallobj.config import get_cfg
from smallobj.data.mappers.tile import TileMapper


def benchmark_mapper(
    dataset: list[dict[str, Any]], tile: int, per_image: int, runs: int
) -> list[Timing]:
    """Times both mappers on the same images, in turns, on one thread.

    Both read, crop at native resolution, flip and convert; TileMapper jitters colours as well.

    Args:
        dataset: Detectron2's dataset dicts.
        tile: side of TileMapper's tiles and of DatasetMapper's crops.
        per_image: number of tiles that TileMapper cuts from one decoded image.
        runs: number of rounds.

    Returns:
        DatasetMapper's timing, then TileMapper's; items are tiles.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    cfg = get_cfg()
    cfg.INPUT.TILE.SIZE = tile
    cfg.INPUT.TILE.PER_IMAGE = per_image
    cfg.INPUT.MIN_SIZE_TRAIN = (0,)  # no resizing
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.CROP.TYPE = "absolute"
    cfg.INPUT.CROP.SIZE = [tile, tile]
    stock, tiling = DatasetMapper(cfg, is_train=True), TileMapper(cfg)
    return time_in_turns(
        {
            "DatasetMapper with a crop": lambda: sum(stock(d) is not None for d in dataset),
            "TileMapper": lambda: sum(len(tiling(d)) for d in dataset),
        },
        runs,
    )
