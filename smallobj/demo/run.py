"""One run of the demo: the predictor, and what the run has found, written and skipped."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

import numpy as np
from detectron2.structures import Instances
from tqdm import tqdm

from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.results.detection_log import DetectionLog
from smallobj.results.drawing import draw_detections


@dataclass
class DemoRun:
    """What images, scans and videos of a run have in common.

    Attributes:
        predictor: leaves out detections below the user's threshold.
        show_tiles: draw the tiles in which the detector looks, too.
        log: detections of all images so far.
        written: paths of pictures, videos and GeoJSON files.
        skipped: a sentence for each broken file.
        progress_files: of scans; no longer needed once the results are written.
    """

    predictor: SmallObjectPredictor
    show_tiles: bool = False
    log: DetectionLog = field(init=False)
    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    progress_files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = DetectionLog(self.predictor.class_names)

    def draw(self, image: np.ndarray, instances: Instances, tiles: np.ndarray | None) -> np.ndarray:
        """A picture of the image's size, (H, W, 3) uint8 BGR, with boxes, and tiles if wanted."""
        shown = tiles if self.show_tiles else None
        return draw_detections(image, instances, self.predictor.class_names, shown)

    def skip(self, reason: str) -> None:
        """Remembers a broken file and prints the reason to stderr."""
        self.skipped.append(reason)
        tqdm.write(f"skipped: {reason}", file=sys.stderr)

    def remove_progress(self) -> None:
        """Removes ``progress_files``; for when the results are written."""
        for path in self.progress_files:
            os.remove(path)
