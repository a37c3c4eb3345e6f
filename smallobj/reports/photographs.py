"""Crops at full resolution and reduced copies of images, as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from smallobj.data.image_file import read_image

Frame = tuple[int, int, int, int]
_CROP_QUALITY, _VIEW_QUALITY = 82, 72
_VIEW_SIDES = (2400, 2000, 1600, 1280, 1024, 800, 640, 480)
_NARROWEST, _WIDEST = 112, 320
_MARGIN = 2.0


@dataclass
class Pictures:
    """Crops and reduced copies of images.

    Attributes:
        crops: data URI by image index and frame.
        views: data URI of the reduced copy by image index.
        missing: paths of images that could not be read.
    """

    crops: dict[tuple[int, Frame], str] = field(default_factory=dict)
    views: dict[int, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def crop_frame(box: Sequence[float], size: tuple[int, int]) -> Frame:
    """The square around a box to crop, XYXY in whole pixels inside the image.

    Its side is twice the longer side of the box, but at least 112 px and at most 320 px, or 1.1
    times the longer side if that is more. It is moved inside at the image's border, and clipped to
    the image's sides.

    >>> crop_frame((1000, 1000, 1020, 1010), (2100, 2800))
    (954, 949, 1066, 1061)

    Args:
        box: XYXY in pixels.
        size: (h, w) of the image.
    """
    longest = max(box[2] - box[0], box[3] - box[1])
    side = max(min(max(_MARGIN * longest, _NARROWEST), _WIDEST), 1.1 * longest)
    ends = []
    for low, high, length in ((box[0], box[2], size[1]), (box[1], box[3], size[0])):
        width = min(round(side), length)
        start = round(min(max((low + high - width) / 2, 0), length - width))
        ends.append((start, start + width))
    (x0, x1), (y0, y1) = ends
    return x0, y0, x1, y1


def read_pictures(paths: Mapping[int, str], frames: Mapping[int, Sequence[Frame]]) -> Pictures:
    """Crops of images at full resolution. Unreadable images are listed in ``missing``.

    Args:
        paths: by image index.
        frames: the crops to take of each image.
    """
    pictures = Pictures()
    for image, wanted in frames.items():
        try:
            photograph = read_image(paths[image])
        except (FileNotFoundError, ValueError):
            pictures.missing.append(paths[image])
            continue
        for x0, y0, x1, y1 in wanted:
            crop = photograph[y0:y1, x0:x1]
            if crop.size:
                pictures.crops[image, (x0, y0, x1, y1)] = _uri(crop, _CROP_QUALITY)
    return pictures


def add_views(pictures: Pictures, paths: Mapping[int, str], budget: int) -> None:
    """Adds reduced copies of images, each as large as its share of the budget allows.

    Args:
        pictures: ``views`` and ``missing`` are extended.
        paths: by image index, the most important image first.
        budget: total size in bytes, in base64. Images that do not fit are left out.
    """
    left, waiting = budget, len(paths)
    for image, path in paths.items():
        # What one image does not use is left to the following ones.
        share = left // max(waiting, 1)
        waiting -= 1
        try:
            view = _view(read_image(path), share)
        except (FileNotFoundError, ValueError):
            if path not in pictures.missing:
                pictures.missing.append(path)
            continue
        if view is not None:
            pictures.views[image] = view
            left -= len(view)


def _view(photograph: np.ndarray, most: int) -> str | None:
    """The largest reduced copy of at most ``most`` bytes; None if the smallest is larger."""
    longest = max(photograph.shape[:2])
    sides = [side for side in _VIEW_SIDES if side < longest] or [longest]
    for side in sides:
        scale = side / longest
        size = [max(1, round(length * scale)) for length in photograph.shape[1::-1]]
        reduced = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
        uri = _uri(reduced, _VIEW_QUALITY)
        if len(uri) <= most:
            return uri
    return None


def _uri(picture: np.ndarray, quality: int) -> str:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV encodes every crop as JPEG"
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
