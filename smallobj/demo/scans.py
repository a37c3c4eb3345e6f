"""Files too large for memory in a run of the demo: which they are, and what is written of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from detectron2.structures import Instances

from smallobj.demo.run import DemoSession
from smallobj.demo.scan_options import MOST_PIXELS, ScanOptions
from smallobj.inference.fingerprint import detector_identity
from smallobj.results.drawing import class_color, draw_detections
from smallobj.results.picture_files import write_picture
from smallobj.scan.geojson import require_georeferenced, write_geojson
from smallobj.scan.raster import Raster
from smallobj.scan.scan_log import Identity, ScanLog
from smallobj.scan.scanner import Scanner

_LONGEST_PICTURE = 4000
# More labels than these would hide the picture, and one another.
_MOST_LABELS = 100


def needs_scan(path: str) -> bool:
    """Whether an image is read by windows: large, JPEG 2000 or georeferenced.

    A turned photograph is left to who can turn it, and a broken file to who says so.
    """
    try:
        with Raster(path) as raster:
            is_large = raster.size[0] * raster.size[1] > MOST_PIXELS
            return raster.orientation == 1 and (
                is_large or raster.is_georeferenced or raster.format == "JPEG 2000"
            )
    except (ValueError, OSError):
        return False


def run_files(
    session: DemoSession,
    paths: Sequence[str],
    pictures: Sequence[str],
    image_ids: Sequence[int],
    options: ScanOptions,
) -> None:
    """Photographs as :meth:`DemoSession.run_images`, then what needs a scan.

    Args:
        session: takes the detections.
        paths: image files.
        pictures: where their pictures go, one each; a scan's progress lies beside its picture.
        image_ids: ids for the log, one each.
        options: of scans.

    Raises:
        ValueError: ``geojson`` for several files or for one that isn't georeferenced, a config
            that can't scan, or progress of another scan in the way.
    """
    if options.geojson and len(paths) != 1:
        raise ValueError(f"--geojson takes one georeferenced input; got {len(paths)} files")
    is_scan = [bool(options.force or options.geojson or needs_scan(path)) for path in paths]
    jobs = list(zip(paths, pictures, image_ids, strict=True))
    plain = [job for job, scanned in zip(jobs, is_scan, strict=True) if not scanned]
    scans = [job for job, scanned in zip(jobs, is_scan, strict=True) if scanned]
    if scans:
        scanner = Scanner(session.predictor, session.threshold)
        predictor = session.predictor
        identity = detector_identity(predictor.cfg, predictor.model, torch.get_num_threads())
    if plain:
        session.run_images(*zip(*plain, strict=True))
    for path, picture, image_id in scans:
        _scan_file(session, scanner, path, picture, image_id, identity, options)


def _scan_file(
    session: DemoSession,
    scanner: Scanner,
    path: str,
    picture: str,
    image_id: int,
    identity: Identity,
    options: ScanOptions,
) -> None:
    try:
        raster = Raster(path)
    except (ValueError, OSError) as error:
        session.skip(str(error))
        return
    progress = f"{picture}.progress"
    with raster:
        if options.geojson:
            require_georeferenced(raster)
        with ScanLog(progress, {**_file_identity(raster), **identity}, options.resume) as log:
            try:
                instances = scanner(raster, log)
                drawn = _draw(session, raster, instances) if options.with_pictures else None
            except ValueError as error:
                session.skip(str(error))
                if not log.finished:
                    log.remove()
                return
            except KeyboardInterrupt:
                print(f"{path}: --resume goes on after {log.finished} rows", file=sys.stderr)
                raise
        session.log.add(path, image_id, instances)
        session.progress_files.append(progress)
        if drawn is not None:
            write_picture(picture, drawn)
            session.written.append(picture)
        if options.geojson:
            image = session.log.images[-1]
            write_geojson(options.geojson, image, session.class_names, raster.crs, raster.transform)
            session.written.append(options.geojson)


def _file_identity(raster: Raster) -> Identity:
    status = os.stat(raster.path)
    return {
        "input file": os.path.abspath(raster.path),
        "input file's content": [status.st_size, status.st_mtime_ns, *raster.size],
    }


def _draw(session: DemoSession, raster: Raster, instances: Instances) -> np.ndarray:
    """A picture of at most 4000 px a side, (h, w, 3) uint8 BGR, with every box."""
    image = raster.reduced(_LONGEST_PICTURE)
    reduced = Instances(image.shape[:2])
    boxes = instances.pred_boxes.clone()
    scale = image.shape[1] / raster.size[1], image.shape[0] / raster.size[0]
    boxes.scale(*scale)
    reduced.pred_boxes = boxes
    reduced.scores, reduced.pred_classes = instances.scores, instances.pred_classes
    tiles = None
    if session.show_tiles:
        rows = Scanner(session.predictor).rows(raster.size)
        tiles = np.concatenate(rows) * np.array(scale * 2)
    labelled = reduced if len(reduced) <= _MOST_LABELS else reduced[:0]
    picture = draw_detections(image, labelled, session.class_names, tiles)
    if len(labelled) < len(reduced):
        corners = boxes.tensor.numpy().round().astype(int).tolist()
        for (x0, y0, x1, y1), index in zip(
            reversed(corners), reversed(instances.pred_classes.tolist()), strict=True
        ):
            cv2.rectangle(picture, (x0 - 2, y0 - 2), (x1 + 1, y1 + 1), class_color(index), 2)
    return picture
