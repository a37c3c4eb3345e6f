"""Decoding every image of datasets: which can't be decoded, and what kinds of files there are."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import cv2
from tqdm import tqdm

from smallobj.checks import check_positive
from smallobj.data.image_file import quiet_decoders
from smallobj.images.pixels import PixelConversion
from smallobj.images.raster import Raster

# Lines read at a time of a file that is not decoded whole.
_LINES = 2048
_CHUNK = 8


@dataclasses.dataclass(frozen=True)
class FileFacts:
    """A file that was decoded: its kind, (h, w), number of bands, and bits, such as "12 of 16"."""

    kind: str
    size: tuple[int, int]
    bands: int
    bits: str


@dataclasses.dataclass(frozen=True)
class PixelReport:
    """What decoding all images gave.

    Attributes:
        facts: of the good files.
        errors: a sentence for each of the others.
    """

    facts: Sequence[FileFacts]
    errors: Sequence[str]

    def table(self) -> str:
        """Kinds of files with their bands, bits, number and sizes, the most frequent first."""
        groups: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
        for fact in self.facts:
            groups[fact.kind, str(fact.bands), fact.bits].append(fact.size)
        rows = [("kind", "bands", "bits", "images", "sizes")]
        for (kind, bands, bits), sizes in sorted(groups.items(), key=lambda item: -len(item[1])):
            rows.append((kind, bands, bits, str(len(sizes)), _range(sizes)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def check_pixels(
    paths: Iterable[str], conversion: PixelConversion, processes: int | None = None
) -> PixelReport:
    """Decodes each file once, in several processes.

    Args:
        paths: image files.
        conversion: as the models read them.
        processes: their number; None: one per core.

    Raises:
        ValueError: the number of processes is not positive, or a decoder ended its process.
    """
    if processes is None:
        # Of the machine's cores, those that this process may use; only Linux tells.
        affinity = getattr(os, "sched_getaffinity", None)
        processes = len(affinity(0)) if affinity else os.cpu_count() or 1
    check_positive("--processes", processes)
    unique = list(dict.fromkeys(paths))
    facts, errors = [], []
    for result in tqdm(_results(unique, conversion, processes), total=len(unique), unit="image"):
        if isinstance(result, FileFacts):
            facts.append(result)
        else:
            errors.append(result)
    return PixelReport(facts, errors)


def _results(
    paths: Sequence[str], conversion: PixelConversion, processes: int
) -> Iterator[FileFacts | str]:
    decode = partial(_decode, conversion=conversion)
    if processes == 1 or len(paths) < 2:
        quiet_decoders()
        yield from map(decode, paths)
        return
    with ProcessPoolExecutor(processes, initializer=_start_process) as pool:
        try:
            yield from pool.map(decode, paths, chunksize=_CHUNK)
        except BrokenProcessPool:
            raise ValueError(
                "a process died while it decoded an image; --processes 1 shows at which"
            ) from None


def _start_process() -> None:
    cv2.setNumThreads(1)
    quiet_decoders()


def _decode(path: str, conversion: PixelConversion) -> FileFacts | str:
    """The facts of a file, or why it can't be decoded."""
    try:
        with Raster(path, conversion) as raster:
            height, width = raster.size
            for top in range(0, height, _LINES):
                raster.read((0, top, width, min(top + _LINES, height)))
            return FileFacts(raster.format, raster.size, raster.bands, raster.bits)
    except FileNotFoundError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    except ValueError as error:
        return str(error)


def _range(sizes: Sequence[tuple[int, int]]) -> str:
    """Smallest and largest size by area, as width x height."""
    by_area = sorted(set(sizes), key=lambda size: (size[0] * size[1], size))
    shown = [f"{width}x{height}" for height, width in (by_area[0], by_area[-1])]
    return shown[0] if len(by_area) == 1 else f"{shown[0]} to {shown[1]}"
