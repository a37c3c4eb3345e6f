"""Files that the demo scans since they are too large for memory: choosing, scanning, writing."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.structures import Instances

from smallobj.demo.images import ImageJob
from smallobj.demo.run import DemoRun
from smallobj.demo.scan_options import MOST_PIXELS, ScanOptions
from smallobj.images.pixels import PixelConversion
from smallobj.images.raster import Raster
from smallobj.inference.fingerprint import Fingerprint, detector_fingerprint
from smallobj.scan.geojson import require_georeferenced, write_geojson
from smallobj.scan.scan_log import ScanLog
from smallobj.scan.scanner import Scanner

_LONGEST_PICTURE = 4000


def needs_scan(path: str) -> bool:
    """Whether an image is scanned in windows: large, JPEG 2000 or georeferenced.

    False for a broken file, which decoding reports.
    """
    try:
        with Raster(path) as raster:
            is_large = raster.size[0] * raster.size[1] > MOST_PIXELS
            return is_large or raster.is_georeferenced or raster.format == "JPEG 2000"
    except (ValueError, OSError):
        return False


def choose_scans(
    jobs: Sequence[ImageJob], options: ScanOptions
) -> tuple[list[ImageJob], list[ImageJob]]:
    """Divides image files into those that are decoded whole and those that are scanned.

    Raises:
        ValueError: ``geojson`` is set and there is more than one file.
    """
    if options.geojson and len(jobs) != 1:
        raise ValueError(f"--geojson takes one georeferenced input; got {len(jobs)} files")
    whole: list[ImageJob] = []
    scanned: list[ImageJob] = []
    for job in jobs:
        is_scan = options.force or options.geojson or needs_scan(job.path)
        (scanned if is_scan else whole).append(job)
    return whole, scanned


class BrokenFileError(ValueError):
    """An image file can't be scanned; the run continues with the next file."""


@dataclasses.dataclass(frozen=True)
class ScanResult:
    """The result of scanning a file.

    Attributes:
        instances: detections on the CPU, in the file's pixels, by falling score.
        picture: reduced image with boxes, (h, w, 3) uint8 BGR; None if pictures are off.
        progress: progress file, from which an interrupted scan resumes.
        crs, transform: coordinate reference system and affine transform of the file.
    """

    instances: Instances
    picture: np.ndarray | None
    progress: str
    crs: Any
    transform: Any


class FileScanner:
    """Scans image files, with a progress file beside each picture."""

    def __init__(self, run: DemoRun, options: ScanOptions) -> None:
        """
        Args:
            run: its predictor and its drawing are used.
            options: options of all scans.

        Raises:
            ValueError: the config is not suitable for scans; see :class:`Scanner`.
        """
        self.options = options
        self._run = run
        predictor = run.predictor
        self._conversion = predictor.conversion
        self.scanner = Scanner(predictor, predictor.score_threshold or 0.0)
        self.fingerprint = detector_fingerprint(
            predictor.cfg, predictor.model, torch.get_num_threads()
        )

    def __call__(self, job: ImageJob) -> ScanResult:
        """Scans a file.

        Raises:
            BrokenFileError: the file can't be read.
            ValueError: ``geojson`` is set and the file is not georeferenced, or the progress file
                holds rows of another scan, or any rows while ``resume`` is not set.
        """
        progress = f"{job.picture}.progress"
        with _open_raster(job.path, self._conversion) as raster:
            if self.options.geojson:
                require_georeferenced(raster)
            fingerprint = {**_file_fingerprint(raster), **self.fingerprint}
            with ScanLog(progress, fingerprint, self.options.resume) as log:
                instances, picture = self._scan(raster, log)
            return ScanResult(instances, picture, progress, raster.crs, raster.transform)

    def _scan(self, raster: Raster, log: ScanLog) -> tuple[Instances, np.ndarray | None]:
        try:
            instances = self.scanner(raster, log)
            return instances, self._draw(raster, instances) if self.options.with_pictures else None
        except ValueError as error:
            if not log.finished:
                log.remove()
            raise BrokenFileError(str(error)) from error
        except KeyboardInterrupt:
            print(f"{raster.path}: --resume goes on after {log.finished} rows", file=sys.stderr)
            raise

    def _draw(self, raster: Raster, instances: Instances) -> np.ndarray:
        """A picture of at most 4000 px a side, (h, w, 3) uint8 BGR, with every box."""
        image = raster.reduced(_LONGEST_PICTURE)
        reduced = Instances(image.shape[:2])
        boxes = instances.pred_boxes.clone()
        scale = image.shape[1] / raster.size[1], image.shape[0] / raster.size[0]
        boxes.scale(*scale)
        reduced.pred_boxes = boxes
        reduced.scores, reduced.pred_classes = instances.scores, instances.pred_classes
        tiles = None
        if self._run.show_tiles:
            tiles = np.concatenate(self.scanner.rows(raster.size)) * np.array(scale * 2)
        return self._run.draw(image, reduced, tiles)


def detect_scans(run: DemoRun, scan: FileScanner, jobs: Sequence[ImageJob]) -> None:
    """Scans files and writes the pictures and GeoJSON asked for; skips broken files.

    Raises:
        ValueError: as :class:`FileScanner`.
    """
    for job in jobs:
        try:
            result = scan(job)
        except BrokenFileError as error:
            run.skip(str(error))
            continue
        image = run.log.add(job.path, job.image_id, result.instances)
        run.progress_files.append(result.progress)
        if result.picture is not None:
            run.write_picture(job.picture, result.picture)
        if scan.options.geojson:
            names = run.predictor.class_names
            write_geojson(scan.options.geojson, image, names, result.crs, result.transform)
            run.written.append(scan.options.geojson)


def _open_raster(path: str, conversion: PixelConversion) -> Raster:
    try:
        return Raster(path, conversion)
    except (ValueError, OSError) as error:
        raise BrokenFileError(str(error)) from error


def _file_fingerprint(raster: Raster) -> Fingerprint:
    status = os.stat(raster.path)
    return {
        "input file": os.path.abspath(raster.path),
        "input file's content": [status.st_size, status.st_mtime_ns, *raster.size],
    }
