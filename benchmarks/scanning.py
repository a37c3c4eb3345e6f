"""Peak memory and time of scanning an image that does not fit into memory."""

from __future__ import annotations

import dataclasses

from benchmarks.huge_image import ScanCost, measure_scan
from benchmarks.report import Cell, Report, Table, describe_machine
from benchmarks.rivals import Settings, set_threads
from smallobj.costs.separate_process import run_apart
from smallobj.inference.predictor import SmallObjectPredictor

_MEBI = 1 << 20


def benchmark_scan(settings: Settings, path: str, threshold: float, threads: int) -> Report:
    """Scans a file once in a separate process.

    Args:
        settings: config and weights.
        path: an image that :class:`smallobj.images.raster.Raster` can open.
        threshold: lowest score of detections.
        threads: number of threads.

    Raises:
        ValueError: the image does not exist, or the system is not Linux.
    """
    machine = describe_machine(settings.config().MODEL.DEVICE)
    cost = run_apart(_scan, settings, path, threshold, threads)
    pixels = cost.width * cost.height / 1e6
    cells: list[Cell] = [f"{cost.width}x{cost.height}", cost.tiles, cost.found, cost.seconds]
    cells += [pixels / cost.seconds, cost.above / _MEBI]
    headers = ["image", "tiles", "found", "seconds", "Mpixel/s", "MiB above the model"]
    table = Table("Cost of one scan", headers, [cells])
    arguments = {**dataclasses.asdict(settings), "threshold": threshold}
    return Report("memory", arguments, machine, [table], dataclasses.asdict(cost))


def _scan(settings: Settings, path: str, threshold: float, threads: int) -> ScanCost:
    set_threads(threads)
    return measure_scan(SmallObjectPredictor(settings.config(), threshold), path, threshold)
