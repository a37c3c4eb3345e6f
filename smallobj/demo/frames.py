"""Detection in each frame of a video or a camera."""

from __future__ import annotations

import cv2
import numpy as np
from tqdm import tqdm

from smallobj.demo.run import DemoRun
from smallobj.demo.video import Video, VideoWriter

_WINDOW = "smallobj (q or Esc ends)"
_ESCAPE = 27
# A container's frame count is often off by a few; with less than this share the file is broken.
_BROKEN_SHARE = 0.9


def detect_frames(run: DemoRun, video: Video, output: str | None, in_window: bool = False) -> None:
    """Detects objects in each frame; in the log, frame 12 of a.mp4 is "a.mp4#12", from 1.

    Args:
        run: the run to which the detections are added.
        video: file or camera.
        output: .mp4 to write; also completed when the run is interrupted.
        in_window: show the frames in a window until q or Esc is pressed.
    """
    writer = VideoWriter(output, video.fps) if output else None
    count = 0
    try:
        bar = tqdm(video, total=video.announced or None, unit="frame")
        for count, frame in enumerate(bar, 1):
            result = run.predictor(frame)
            instances = result["instances"].to("cpu")
            run.log.add(f"{video.name}#{count}", count, instances)
            picture = run.draw_frame(frame, instances, result.get("tiles"))
            if writer:
                writer.add(picture)
            if in_window and not _show(picture):
                return
    finally:
        if in_window:
            cv2.destroyAllWindows()
        if writer and writer.close():
            run.written.append(writer.path)
    if count < video.announced * _BROKEN_SHARE or count == 0:
        run.skip(f"{video.name}: {count} of {video.announced} frames could be read")


def _show(picture: np.ndarray) -> bool:
    """Shows a frame; returns False if the user pressed q or Esc."""
    cv2.imshow(_WINDOW, picture)
    return (cv2.waitKey(1) & 0xFF) not in (_ESCAPE, ord("q"))
