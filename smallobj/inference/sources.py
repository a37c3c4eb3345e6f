"""Where pictures come from: files, folders, globs, a video or a camera."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from types import TracebackType

import cv2
import numpy as np

IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"),
    *(".jp2", ".j2k"),
)
# Films whose container doesn't tell.
_DEFAULT_FPS = 25.0


def is_image_name(path: str) -> bool:
    """Whether a file's name ends like an image's."""
    return path.lower().endswith(IMAGE_ENDINGS)


def find_images(inputs: Sequence[str]) -> list[str]:
    """Paths of images, each file once, in the order of ``inputs``.

    Args:
        inputs: files (taken whatever their ending), folders (their images, not their subfolders')
            and glob patterns with ``*``, ``?``, ``[...]`` and ``**``; the latter two sorted.

    Raises:
        FileNotFoundError: a path that isn't there, or a folder or pattern without an image.
    """
    found: dict[str, str] = {}
    for path in inputs:
        for image in _expand(path):
            found.setdefault(os.path.realpath(image), image)
    return list(found.values())


def _expand(path: str) -> list[str]:
    expanded = os.path.expanduser(path)
    if os.path.isfile(expanded):
        return [expanded]
    if os.path.isdir(expanded):
        names = [os.path.join(expanded, name) for name in os.listdir(expanded)]
        rule = f"no image in this folder; an image ends in {', '.join(IMAGE_ENDINGS)}"
    elif glob.has_magic(expanded):
        names = glob.glob(expanded, recursive=True)
        rule = f"no image matches this pattern; an image ends in {', '.join(IMAGE_ENDINGS)}"
    else:
        raise FileNotFoundError(f"{path}: no such file or folder")
    images = sorted(name for name in names if is_image_name(name) and os.path.isfile(name))
    if not images:
        raise FileNotFoundError(f"{path}: {rule}")
    return images


class Video:
    """Frames of a video file or a camera, in turn; a context manager that lets go of it.

    Attributes:
        name: the file, or "webcam INDEX".
        fps: frames a second.
        announced: number of frames that the file claims to have; 0 when unknown.
    """

    def __init__(self, source: str | int) -> None:
        """
        Args:
            source: path of a file, or number of a camera.

        Raises:
            FileNotFoundError: no such file.
            ValueError: no video in it that OpenCV can read, or no such camera.
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
        """(H, W, 3) uint8, BGR, until the video ends."""
        while True:
            is_read, frame = self._capture.read()
            if not is_read:
                return
            yield frame

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()


def quiet_decoders() -> None:
    """Keeps OpenCV and FFmpeg from printing their own words about files that can't be read."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def require_display() -> None:
    """
    Raises:
        ValueError: there is no screen to open a window on. (Asked first, because OpenCV's window
            code ends the whole process then, without an exception.)
    """
    if os.name == "posix" and os.uname().sysname == "Linux":
        screens = ("DISPLAY", "WAYLAND_DISPLAY")
        if not any(os.environ.get(screen) for screen in screens):
            raise ValueError(
                "--webcam shows its pictures in a window and there is no display: neither DISPLAY "
                "nor WAYLAND_DISPLAY is set. Record a video and use --video-input instead."
            )
