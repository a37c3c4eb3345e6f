"""A run of the demo: the predictor, the detections, and the files written and skipped."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from detectron2.structures import Instances
from tqdm import tqdm

from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.results.detection_log import DetectionLog
from smallobj.results.drawing import DrawnPicture, draw_picture
from smallobj.results.drawing_options import DrawingOptions
from smallobj.results.label_choice import VERBOSE_FIRST
from smallobj.results.picture_files import write_picture_somehow

# A frame has no legend, which would change its size, and without one numbers tell nothing.
_KINDS_IN_FRAMES = ("full", "name", "none")


@dataclass
class DemoRun:
    """The common state of a run's images, scans and videos.

    Attributes:
        predictor: returns only detections above the user's threshold.
        show_tiles: also draw the tiles that the detector reads.
        drawing: options of the pictures.
        log: detections of all images so far.
        written: paths of pictures, videos and GeoJSON files.
        skipped: an error message for each broken file.
        progress_files: progress files of scans; not needed once the results are written.
        label_kinds: number of pictures by kind of labels.
        unlabelled: number of objects whose label found no room in its picture.
    """

    predictor: SmallObjectPredictor
    show_tiles: bool = False
    drawing: DrawingOptions = field(default_factory=DrawingOptions)
    log: DetectionLog = field(init=False)
    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    progress_files: list[str] = field(default_factory=list)
    label_kinds: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0
    _frame_kinds: Sequence[str] = _KINDS_IN_FRAMES

    def __post_init__(self) -> None:
        self.log = DetectionLog(self.predictor.class_names)

    def draw(self, image: np.ndarray, instances: Instances, tiles: np.ndarray | None) -> np.ndarray:
        """The image with boxes, and tiles if ``show_tiles``, as a new (H, W, 3) uint8 BGR."""
        return self._draw(image, instances, tiles, self.drawing, VERBOSE_FIRST).picture

    def draw_frame(
        self, image: np.ndarray, instances: Instances, tiles: np.ndarray | None
    ) -> np.ndarray:
        """As :meth:`draw`, without a legend; labels never become longer again, or they flicker."""
        options = replace(self.drawing, legend=False)
        drawn = self._draw(image, instances, tiles, options, self._frame_kinds)
        if len(instances) and self.drawing.labels is None:
            self._frame_kinds = self._frame_kinds[self._frame_kinds.index(drawn.kind) :]
        return drawn.picture

    def _draw(
        self,
        image: np.ndarray,
        instances: Instances,
        tiles: np.ndarray | None,
        options: DrawingOptions,
        kinds: Sequence[str],
    ) -> DrawnPicture:
        shown = tiles if self.show_tiles else None
        names = self.predictor.class_names
        drawn = draw_picture(image, instances, names, shown, options, kinds)
        if len(instances):
            self.label_kinds[drawn.kind] += 1
        self.unlabelled += drawn.left_out
        return drawn

    def labels_line(self) -> str:
        """What labels the pictures got; "" if the user chose them or there are no objects."""
        if self.drawing.labels is not None or not self.label_kinds:
            return ""
        kinds = ", ".join(f"{kind} in {self.label_kinds[kind]}" for kind in self.label_kinds)
        left = f"; {self.unlabelled} found no room" if self.unlabelled else ""
        return f"labels, by the room between the objects: {kinds}{left} (--labels chooses)"

    def write_picture(self, path: str, picture: np.ndarray, planned: Collection[str] = ()) -> None:
        """Writes a picture; one that its format can't hold, as PNG under another name.

        Args:
            path: where to write.
            picture: (H, W, 3) uint8 BGR.
            planned: paths of all pictures of this run.
        """
        written = write_picture_somehow(path, picture, planned)
        if written != path:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            self.say(f"{path}: this format can't hold {size} pixels; written as {written}")
        self.written.append(written)

    def say(self, message: str) -> None:
        """Prints a line to stderr, above a progress bar."""
        tqdm.write(message, file=sys.stderr)

    def skip(self, reason: str) -> None:
        """Records a broken file and prints the reason to stderr."""
        self.skipped.append(reason)
        self.say(f"skipped: {reason}")

    def remove_progress(self) -> None:
        """Removes ``progress_files``; called once the results are written."""
        for path in self.progress_files:
            os.remove(path)
