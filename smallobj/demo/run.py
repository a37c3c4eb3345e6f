"""A run of the demo: a detector over images or over a video, with pictures and a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.config import CfgNode
from tqdm import tqdm

from smallobj.data.image_file import read_image
from smallobj.demo.video import Video, VideoWriter
from smallobj.inference.predictor import Prediction, SmallObjectPredictor
from smallobj.results.detection_log import DetectionLog
from smallobj.results.drawing import draw_detections
from smallobj.results.picture_files import write_picture

_WINDOW = "smallobj (q or Esc ends)"
_ESCAPE = 27
# A container's count of frames is often off by a few; this much less is a broken file.
_BROKEN_SHARE = 0.9


class DemoSession:
    """Detects and draws, and remembers what was written and what had to be skipped.

    Attributes:
        class_names: names of the classes, in the order of pred_classes.
        log: detections of all images so far.
        written: paths of pictures and videos.
        skipped: a sentence for each broken file.
        progress_files: what a scan was to go on from; in the way once its results are written.
    """

    def __init__(self, cfg: CfgNode, threshold: float, show_tiles: bool = False) -> None:
        """
        Args:
            cfg: as :func:`prepare_detector_config` gives it.
            threshold: lowest score that counts, in [0, 1].
            show_tiles: draw the tiles in which the detector looks, too.

        Raises:
            ValueError, FileNotFoundError: as :class:`SmallObjectPredictor`, or a threshold
                outside [0, 1].
        """
        self.threshold = threshold
        self.show_tiles = show_tiles
        self.predictor = SmallObjectPredictor(cfg, threshold)
        self.class_names: list[str] = self.predictor.class_names
        self.log = DetectionLog(self.class_names)
        self.written: list[str] = []
        self.skipped: list[str] = []
        self.progress_files: list[str] = []
        self._video_name = ""

    def detect(self, image: np.ndarray) -> Prediction:
        """Objects in (H, W, 3) uint8 BGR that pass the threshold."""
        output = self.predictor(image)
        return Prediction("", image, output["instances"].to("cpu"), output.get("tiles"))

    def draw(self, image: np.ndarray, found: Prediction) -> np.ndarray:
        """A picture of the image's size with boxes, and with tiles if they were asked for."""
        tiles = found.tiles if self.show_tiles else None
        return draw_detections(image, found.instances, self.class_names, tiles)

    def run_images(
        self, paths: Sequence[str], pictures: Sequence[str], image_ids: Sequence[int]
    ) -> None:
        """Detects in image files and writes a picture of each; broken ones are skipped.

        Args:
            paths: image files.
            pictures: where their pictures go, one each.
            image_ids: ids for the log, one each.
        """
        bar = tqdm(self.predictor.stream(paths), total=len(paths), unit="image")
        for found, picture, image_id in zip(bar, pictures, image_ids, strict=True):
            if found.instances is None:
                self.skip(found.error)
                continue
            image = read_image(found.path) if found.image is None else found.image
            write_picture(picture, self.draw(image, found))
            self.written.append(picture)
            self.log.add(found.path, image_id, found.instances)

    def skip(self, reason: str) -> None:
        """Remembers and tells that a file is broken."""
        self.skipped.append(reason)
        tqdm.write(f"skipped: {reason}", file=sys.stderr)

    def run_video(self, video: Video, output: str | None, in_window: bool = False) -> None:
        """Detects in each frame; the log calls frame 12 of a.mp4 "a.mp4#12", counted from 1.

        Args:
            video: file or camera.
            output: .mp4 to write, finished also when the run is interrupted.
            in_window: show the pictures until q or Esc is pressed.
        """
        writer = VideoWriter(output, video.fps) if output else None
        self._video_name = video.name
        count = 0
        try:
            bar = tqdm(video, total=video.announced or None, unit="frame")
            for count, frame in enumerate(bar, 1):
                found = self.detect(frame)
                self.log.add(f"{video.name}#{count}", count, found.instances)
                picture = self.draw(frame, found)
                if writer:
                    writer.add(picture)
                if in_window and not _show(picture):
                    return
        finally:
            if in_window:
                cv2.destroyAllWindows()
            if writer and writer.close():
                self.written.append(writer.path)
        if count < video.announced * _BROKEN_SHARE or count == 0:
            self.skip(f"{video.name}: {count} of {video.announced} frames could be read")

    def forget_progress(self) -> None:
        """Removes ``progress_files``, for when the results are written."""
        for path in self.progress_files:
            os.remove(path)

    def table(self, most_images: int = 10, most_rows: int = 200) -> str:
        """Every detection in a line; of many their counts by image; of a video the sum."""
        log = self.log
        if self._video_name:
            count = sum(len(image.boxes) for image in log.images)
            return f"{self._video_name}: {count} detections in {len(log.images)} frames"
        many = sum(len(image.boxes) for image in log.images) > most_rows
        if len(log.images) > most_images or many:
            counts = [(image.file, str(len(image.boxes))) for image in log.images]
            return _columns([("file", "objects"), *counts])
        rows = [
            (
                os.path.basename(file),
                name,
                f"{score:.2f}",
                " ".join(f"{value:.0f}" for value in box),
            )
            for file, _, name, score, *box in log.rows()
        ]
        if not rows:
            return f"no object with a score of at least {self.threshold:g}"
        return _columns([("file", "class", "score", "x1 y1 x2 y2"), *rows])


def _show(picture: np.ndarray) -> bool:
    """Shows a frame; false when the person asks to end."""
    cv2.imshow(_WINDOW, picture)
    return (cv2.waitKey(1) & 0xFF) not in (_ESCAPE, ord("q"))


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
