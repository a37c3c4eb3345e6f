"""Images that do not fit into memory: writing one, and measuring the cost of scanning it."""

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
from smallobj.images.raster import Raster
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.scan.scanner import Choose, Scanner

_BLOCK = 512


@dataclass(frozen=True)
class ScanCost:
    """Cost of one scan.

    Attributes:
        width, height: of the image.
        tiles: number of planned tiles; ``choose`` may have skipped some.
        seconds: from opening the file to the last detection.
        cpu_seconds: processor time of all threads in that time.
        above: peak resident bytes above those of the loaded and warmed-up model.
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
    """Writes a mosaic of photographs as a tiled BigTIFF with JPEG compression, in windows.

    Args:
        path: of the output file.
        size: (h, w) of the mosaic.
        photographs: image files of one size, repeated row by row. Each is cut to sides that are
            multiples of 512 px.
        quality: of the JPEG compression.
        profile: further options of rasterio, such as crs and transform.

    Raises:
        ValueError: there is no photograph, one is smaller than 512 px, or their sizes differ.
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
    """Measures one scan of a file, after a warm-up of the model. Linux only.

    Args:
        predictor: as in :class:`Scanner`.
        path: of the image.
        threshold: lowest score of detections.
        choose: as in :class:`Scanner`.

    Raises:
        ValueError: as in :class:`Raster` and :class:`Scanner`.
    """
    scanner = Scanner(predictor, threshold, choose)
    side = scanner.detector.tile
    # Wide enough for a full batch of tiles.
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
