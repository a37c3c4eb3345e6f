"""Detection in images that don't fit into memory, one row of tiles after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from tqdm import tqdm

from smallobj.data.build import check_native_resolution, image_tensor
from smallobj.data.prefetch import prefetch
from smallobj.geometry.boxes import connected_components, overlapping_pairs
from smallobj.geometry.tiling import plan_tiles
from smallobj.images.raster import Raster
from smallobj.inference.ensemble import EnsembleDetector
from smallobj.inference.focus import FocusedDetector
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.inference.tiled import TiledDetector
from smallobj.inference.tta import TTADetector
from smallobj.scan.scan_log import ScanLog
from smallobj.scan.strip_focus import StripFocus

# Limit of one row; about three rows of tiles are in memory.
_MOST_STRIP_BYTES = 1 << 30
# Takes a row's tiles (T, 4) in the image's frame and its strip (h, W, 3); returns the boxes to
# read: some of the tiles, or other regions of the strip.
Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]


class RowMerger:
    """Merges the boxes of tile rows incrementally, with the same result as all rows at once.

    The seam rule and the mergers only relate boxes that overlap. So a box can be merged as soon as
    neither it nor any box linked to it by a chain of overlaps reaches into a later row of tiles.
    """

    def __init__(self, merge: Callable[[Instances], Instances], threshold: float = 0.0) -> None:
        """
        Args:
            merge: :meth:`TiledDetector.merge_tiles`.
            threshold: boxes whose score after merging is lower are dropped.
        """
        self._merge = merge
        self._threshold = threshold
        self._pending: Instances | None = None
        self._merged: list[Instances] = []

    def add(self, found: Instances, next_top: float) -> None:
        """Adds a row's boxes.

        Args:
            found: as :meth:`TiledDetector.to_image_frame` returns it, on the CPU.
            next_top: first line of the next row of tiles; infinity after the last row.
        """
        pending = found if self._pending is None else Instances.cat([self._pending, found])
        boxes = pending.pred_boxes.tensor
        component = connected_components(len(boxes), *overlapping_pairs(boxes))
        bottom = boxes[:, 3].clone().scatter_reduce_(0, component, boxes[:, 3], "amax")
        # A box that ends exactly at next_top shares no area with the next row.
        waits = bottom[component] > next_top
        self._pending = pending[waits]
        if not waits.all():
            merged = self._merge(pending[~waits])
            self._merged.append(_plain(merged[merged.scores >= self._threshold]))

    def result(self, image_size: tuple[int, int]) -> Instances:
        """All merged boxes by falling score: pred_boxes, scores and pred_classes."""
        if not self._merged:
            return _nothing(image_size)
        every = Instances.cat(self._merged)
        return every[every.scores.argsort(descending=True, stable=True)]


class Scanner:
    """Runs a detector on a raster with about three rows of tiles in memory.

    The detections are those of the detector on the whole image, but their number is not limited:
    TEST.DETECTIONS_PER_IMAGE would keep 100 of a map's 10,000 objects. (It still limits the
    detections of each tile.)
    """

    def __init__(
        self,
        predictor: SmallObjectPredictor,
        threshold: float = 0.0,
        choose: Choose | None = None,
    ) -> None:
        """
        Args:
            predictor: its model is tiled and takes images at native resolution.
            threshold: lowest score of a detection.
            choose: chooses what to read of a row; None: the regions that the predictor's focus
                network chooses (:class:`StripFocus`), or all tiles if it has none.

        Raises:
            ValueError: the predictor's config has no tiling, resizes images, augments whole images
                (TEST.TTA), or is an ensemble.
        """
        self.predictor = predictor
        detector = predictor.model
        if isinstance(detector, FocusedDetector):
            choose = choose or StripFocus(detector.chooser, self._tensor)
            detector = detector.detector
        if isinstance(detector, TTADetector):
            raise ValueError(
                "a scan goes over its image once, row by row; with TEST.TTA.ENABLED it needs "
                "TEST.TTA.PER_TILE True"
            )
        if isinstance(detector, EnsembleDetector):
            raise ValueError(
                "a scan runs one detector, and TEST.ENSEMBLE.MEMBERS names others; scan with each "
                "and merge their results files: tools/ensemble.py"
            )
        if not isinstance(detector, TiledDetector):
            raise ValueError(
                "a scan reads tiles at native resolution; it needs TEST.TILE.ENABLED True"
            )
        check_native_resolution(predictor.cfg, "a scan reads tiles at native resolution")
        self.detector = detector
        self.threshold = threshold
        self.choose = choose

    def rows(self, image_size: tuple[int, int]) -> list[np.ndarray]:
        """The planned tiles of each row, (T, 4) XYXY each, from the top."""
        tiles = plan_tiles(image_size, self.detector.tile, self.detector.overlap)
        return np.split(tiles, np.flatnonzero(np.diff(tiles[:, 1])) + 1)

    @torch.no_grad()
    def __call__(self, raster: Raster, log: ScanLog | None = None) -> Instances:
        """
        Args:
            raster: the image.
            log: finished rows are written to it; those that it holds already are not read again.

        Returns:
            Instances in the raster's pixels, on the CPU, by falling score.

        Raises:
            ValueError: the file is broken or too wide.
        """
        strip = raster.size[1] * min(self.detector.tile, raster.size[0]) * 3
        if strip > _MOST_STRIP_BYTES:
            raise ValueError(
                f"{raster.path}: a row of tiles must fit into {_MOST_STRIP_BYTES >> 20} MiB; one "
                f"of {raster.size[1]}x{self.detector.tile} pixels takes {strip >> 20} MiB; "
                "lower TEST.TILE.SIZE"
            )
        rows = self.rows(raster.size)
        is_single = self.choose is None and len(rows) == 1 and len(rows[0]) == 1
        # With a single tile there are no copies: the model's own suppression has run.
        merge = (lambda found: found) if is_single else self.detector.merge_tiles
        merger = RowMerger(merge, self.threshold)
        tops = [float(tiles[0, 1]) for tiles in rows[1:]] + [float("inf")]
        done = 0
        for found in log.rows(raster.size) if log else ():
            merger.add(found, tops[done])
            done += 1
        with self._bar(raster, rows, done) as bar:
            strips = prefetch(read_strips(raster, rows[done:]), depth=1)
            for tiles, strip, top in zip(rows[done:], strips, tops[done:], strict=True):
                found = self._detect(tiles, strip, raster.size, bar)
                if log:
                    log.append(found)
                merger.add(found, top)
        return merger.result(raster.size)

    def _bar(self, raster: Raster, rows: Sequence[np.ndarray], done: int) -> Any:
        return tqdm(
            total=sum(map(len, rows)),
            initial=sum(map(len, rows[:done])),
            desc=f"{raster.size[1]}x{raster.size[0]}",
            unit="tile",
        )

    def _detect(
        self, tiles: np.ndarray, strip: np.ndarray, image_size: tuple[int, int], bar: Any
    ) -> Instances:
        """Detections in a row of tiles; in the image's frame, on the CPU, not merged."""
        chosen = tiles if self.choose is None else self.choose(tiles, strip)
        top, reported = int(tiles[0, 1]), 0

        def inputs() -> Iterator[dict[str, Any]]:
            for x0, y0, x1, y1 in chosen.tolist():
                pixels = self._tensor(strip[y0 - top : y1 - top, x0:x1])
                yield {"image": pixels, "height": y1 - y0, "width": x1 - x0}

        outputs = []
        # Each row starts a new batch, so that a resumed scan computes the same batches.
        for output in self.detector.runner(inputs()):
            # Without masks, which would fill the memory for a large map.
            outputs.append(_plain(output["instances"]).to("cpu"))
            share = len(outputs) * len(tiles) // len(chosen)
            bar.update(share - reported)
            reported = share
        bar.update(len(tiles) - reported)
        if not outputs:
            return _nothing(image_size, with_origin=True)
        return self.detector.to_image_frame(outputs, chosen, image_size)

    def _tensor(self, pixels: np.ndarray) -> torch.Tensor:
        return image_tensor(pixels, self.predictor.aug, self.predictor.input_format)


def read_strips(raster: Raster, rows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the strip of each row of tiles, (h, W, 3) uint8 BGR; each line is read once."""
    width = raster.size[1]
    above, bottom = np.empty((0, width, 3), dtype=np.uint8), 0
    for tiles in rows:
        top, end = int(tiles[0, 1]), int(tiles[0, 3])
        kept = max(bottom - top, 0)
        strip = np.empty((end - top, width, 3), dtype=np.uint8)
        strip[:kept] = above[len(above) - kept :]
        raster.read((0, top + kept, width, end), out=strip[kept:])
        yield strip
        above, bottom = strip, end


def _plain(instances: Instances) -> Instances:
    """Boxes, scores and classes, without masks and without the fields that only merging needs."""
    plain = Instances(instances.image_size)
    plain.pred_boxes = instances.pred_boxes
    plain.scores = instances.scores
    plain.pred_classes = instances.pred_classes
    return plain


def _nothing(image_size: tuple[int, int], with_origin: bool = False) -> Instances:
    empty = Instances(image_size)
    empty.pred_boxes = Boxes(torch.zeros(0, 4))
    empty.scores = torch.zeros(0)
    empty.pred_classes = torch.zeros(0, dtype=torch.int64)
    if with_origin:
        empty.tile = torch.zeros(0, 4, dtype=torch.int64)
        empty.cut = torch.zeros(0, dtype=torch.bool)
    return empty
