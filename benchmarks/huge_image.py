"""Scans of images that don't fit into memory: making one, and what it takes to look through it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window
from tqdm import tqdm

from benchmarks.peak_memory import measure_peak
from smallobj.data.image_file import read_image
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.scan.raster import Raster
from smallobj.scan.scanner import Choose, Scanner

_BLOCK = 512


@dataclass(frozen=True)
class ScanCost:
    """What one scan took.

    Attributes:
        width, height: of the image.
        tiles: that were planned; ``choose`` may have left some out.
        seconds: from opening the file to the last detection.
        cpu_seconds: of all threads, in that time.
        above: highest resident bytes above the loaded and warm model.
        found: number of detections.
    """

    width: int
    height: int
    tiles: int
    seconds: float
    cpu_seconds: float
    above: int
    found: int


def write_huge_image(
    path: str, size: tuple[int, int], photographs: Sequence[str], quality: int = 90, **profile: Any
) -> None:
    """Writes a tiled BigTIFF with JPEG compression, a mosaic of photographs, window by window.

    Args:
        path: the file.
        size: (h, w).
        photographs: files of one size, laid out in rows, over and over. Each is cut to a multiple
            of 512 px a side.
        quality: of the JPEG compression.
        profile: more for rasterio, such as crs and transform.

    Raises:
        ValueError: no photographs, smaller ones than 512 px, or ones of several sizes.
    """
    if not photographs:
        raise ValueError("a mosaic needs at least one photograph; got none")
    height, width = (side // _BLOCK * _BLOCK for side in read_image(photographs[0]).shape[:2])
    if not (height and width):
        raise ValueError(f"photographs must have at least {_BLOCK} px a side: {photographs[0]}")
    places = list(itertools.product(range(0, size[0], height), range(0, size[1], width)))
    options = {
        **{"driver": "GTiff", "count": 3, "dtype": "uint8", "BIGTIFF": "YES", "tiled": True},
        **{"blockxsize": _BLOCK, "blockysize": _BLOCK, "photometric": "ycbcr"},
        **{"compress": "jpeg", "jpeg_quality": quality, "height": size[0], "width": size[1]},
    }
    with rasterio.open(path, "w", **{**options, **profile}) as file:
        for (y, x), name in zip(tqdm(places), itertools.cycle(photographs), strict=False):
            image = read_image(name)
            if image.shape[0] < height or image.shape[1] < width:
                raise ValueError(f"photographs must be of one size; {name} is smaller than others")
            part = image[: min(height, size[0] - y), : min(width, size[1] - x), ::-1]
            window = Window(x, y, part.shape[1], part.shape[0])
            file.write(np.ascontiguousarray(part.transpose(2, 0, 1)), window=window)


def measure_scan(
    predictor: SmallObjectPredictor, path: str, threshold: float, choose: Choose | None = None
) -> ScanCost:
    """Scans a file once, with a model that has run before, and says what it took. On Linux.

    Args:
        predictor: as :class:`Scanner` wants it.
        path: the image.
        threshold: lowest score that counts.
        choose: as :class:`Scanner`.

    Raises:
        ValueError: as :class:`Raster` and :class:`Scanner`.
    """
    scanner = Scanner(predictor, threshold, choose)
    side = scanner.detector.tile
    # Twice as wide as a tile, so that a whole batch goes through.
    batch = scanner.detector.runner.max_pixels // side**2
    warm_up = np.zeros((side, (side - scanner.detector.overlap) * batch + side, 3), dtype=np.uint8)
    predictor(warm_up)
    outcome: dict[str, Any] = {}

    def job() -> None:
        with Raster(path) as raster:
            outcome["size"], outcome["found"] = raster.size, len(scanner(raster))

    wall, cpu = time.perf_counter(), time.process_time()
    peak = measure_peak(job, predictor.cfg.MODEL.DEVICE)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    height, width = outcome["size"]
    tiles = sum(map(len, scanner.rows((height, width))))
    return ScanCost(width, height, tiles, wall, cpu, peak.above, outcome["found"])
