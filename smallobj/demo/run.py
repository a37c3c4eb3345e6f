"""A run of the demo: the predictor, the detections, and the files written and skipped."""

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
    """The common state of a run's images, scans and videos.

    Attributes:
        predictor: returns only detections above the user's threshold.
        show_tiles: also draw the tiles that the detector reads.
        log: detections of all images so far.
        written: paths of pictures, videos and GeoJSON files.
        skipped: an error message for each broken file.
        progress_files: progress files of scans; not needed once the results are written.
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
        """The image with boxes, and tiles if ``show_tiles``, as a new (H, W, 3) uint8 BGR."""
        shown = tiles if self.show_tiles else None
        return draw_detections(image, instances, self.predictor.class_names, shown)

    def skip(self, reason: str) -> None:
        """Records a broken file and prints the reason to stderr."""
        self.skipped.append(reason)
        tqdm.write(f"skipped: {reason}", file=sys.stderr)

    def remove_progress(self) -> None:
        """Removes ``progress_files``; called once the results are written."""
        for path in self.progress_files:
            os.remove(path)
