"""Reading frames from videos and cameras, and writing frames to an .mp4."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import cv2
import numpy as np

from smallobj.whole_file import whole_path

# For containers that don't state the frame rate.
_DEFAULT_FPS = 25.0


class Video(AbstractContextManager["Video"]):
    """The frames of a video file or a camera, in order; a context manager that releases it.

    Attributes:
        name: the file's path, or "webcam INDEX".
        fps: frames per second.
        announced: number of frames that the file claims to have; 0 if unknown.
    """

    def __init__(self, source: str | int) -> None:
        """
        Args:
            source: path of a file, or number of a camera.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: OpenCV can't read the file as a video, or can't open the camera.
        """
        is_camera = isinstance(source, int)
        self.name = f"webcam {source}" if is_camera else str(source)
        if not is_camera and not os.path.isfile(source):
            raise FileNotFoundError(f"{source}: no such video file")
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            what = "there is no such camera, or another program uses it"
            raise ValueError(
                f"{self.name}: {what if is_camera else 'not a video that OpenCV can read'}"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if np.isfinite(fps) and fps > 0 else _DEFAULT_FPS
        self.announced = (
            0 if is_camera else max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields frames (H, W, 3) uint8, BGR, until the video ends."""
        while True:
            is_read, frame = self._capture.read()
            if not is_read:
                return
            yield frame

    def __exit__(self, *_: object) -> None:
        self._capture.release()


def require_display() -> None:
    """Checks that a window can be opened; without a display, OpenCV would end the process.

    Raises:
        ValueError: there is no display.
    """
    if os.name == "posix" and os.uname().sysname == "Linux":
        screens = ("DISPLAY", "WAYLAND_DISPLAY")
        if not any(os.environ.get(screen) for screen in screens):
            raise ValueError(
                "--webcam shows its pictures in a window and there is no display: neither DISPLAY "
                "nor WAYLAND_DISPLAY is set. Record a video and use --video-input instead."
            )


class VideoWriter:
    """An .mp4 that appears at its path when it is closed; the codec crops odd sides to even."""

    def __init__(self, path: str, fps: float) -> None:
        self.path = path
        self.fps = fps
        self._place = ExitStack()
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Appends (H, W, 3) uint8 BGR.

        Raises:
            ValueError: OpenCV can't write the video.
        """
        if self._writer is None:
            # OpenCV chooses the container by the ending.
            beside = self._place.enter_context(whole_path(self.path, ".part.mp4"))
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(beside, codec, self.fps, size)
            if not writer.isOpened():
                raise ValueError(f"{self.path}: OpenCV can't write an mp4 video of {size} there")
            self._writer = writer
        self._writer.write(frame)

    def close(self) -> bool:
        """Completes the file; returns False if there were no frames, and so there is no file."""
        if self._writer is None:
            return False
        self._writer.release()
        self._writer = None
        self._place.close()
        return True


def plan_video(source: str, output: str) -> str:
    """Path of the .mp4 for a video: ``output`` if it ends in .mp4, else a file in that folder.

    Raises:
        ValueError: the path is that of the input.
    """
    stem = os.path.splitext(os.path.basename(source))[0]
    path = output if output.lower().endswith(".mp4") else os.path.join(output, f"{stem}.mp4")
    if os.path.realpath(path) == os.path.realpath(source):
        raise ValueError(f"--output {output} would replace the input video {source}")
    return path
