"""Rotating, tilting, scaling and blurring one sprite into a patch to paste into an image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from smallobj.synthetic.canvas import FloatArray

_EDGE = 0.02  # alpha up to this counts as transparent


@dataclass(frozen=True)
class Pose:
    """Orientation of a sprite; all angles in degrees."""

    turn: float  # rotation in the image plane
    tilt: float  # away from the camera; 0: seen from directly above
    axis: float  # direction of the axis of the tilt
    keystone: float  # perspective, relative change of scale over half the sprite


@dataclass(frozen=True)
class Patch:
    """A posed sprite at its final size.

    `pixels` is premultiplied BGRA, float32 (h, w, 4). `box` is the tight box (x, y, w, h) of
    alpha > 0.5 in the patch, in whole pixels.
    """

    pixels: FloatArray
    box: tuple[int, int, int, int]


def random_pose(rng: np.random.Generator) -> Pose:
    """A uniformly random rotation, and usually a small tilt."""
    return Pose(
        turn=rng.uniform(0, 360),
        tilt=min(abs(rng.normal(0, 18)), 45.0),
        axis=rng.uniform(0, 360),
        keystone=rng.uniform(0, 0.12),
    )


def tight_box(alpha: FloatArray, threshold: float = 0.5) -> tuple[int, int, int, int] | None:
    """The box (x, y, w, h) of the pixels with alpha above the threshold, or None.

    >>> alpha = np.zeros((4, 5), np.float32)
    >>> alpha[1:3, 2:5] = 1
    >>> tight_box(alpha)
    (2, 1, 3, 2)
    """
    solid = alpha > threshold
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if len(rows) == 0:
        return None
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def _rotation(degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    c, s = np.cos(radians), np.sin(radians)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def warp(sprite: FloatArray, pose: Pose) -> FloatArray:
    """The sprite, premultiplied float32 (h, w, 4), rotated and tilted at its own resolution.

    The result is cropped to its alpha.
    """
    h, w = sprite.shape[:2]
    centre = np.array([[1, 0, -w / 2], [0, 1, -h / 2], [0, 0, 1.0]])
    squash = np.diag([1.0, np.cos(np.deg2rad(pose.tilt)), 1.0])
    bend = np.array([[1, 0, 0], [0, 1, 0], [0, pose.keystone / (max(h, w) / 2), 1.0]])
    matrix = _rotation(pose.turn) @ bend @ _rotation(pose.axis) @ squash @ _rotation(-pose.axis)
    corners = np.array([[-w, -w, w, w], [-h, h, -h, h], [2, 2, 2, 2]]) / 2
    placed = matrix @ corners
    placed = placed[:2] / placed[2]
    low, high = placed.min(1) - 1, placed.max(1) + 1
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1.0]])
    size = (int(np.ceil(high[0] - low[0])), int(np.ceil(high[1] - low[1])))
    warped = np.asarray(
        cv2.warpPerspective(sprite, shift @ matrix @ centre, size, flags=cv2.INTER_LINEAR),
        np.float32,
    )
    box = tight_box(warped[..., 3], _EDGE)
    if box is None:
        raise ValueError("the sprite is transparent all over")
    x, y, bw, bh = box
    return np.ascontiguousarray(warped[y : y + bh, x : x + bw], np.float32)


def _blurred(patch: FloatArray, sigma: float, smear: tuple[float, float]) -> FloatArray:
    if sigma > 0.15:
        patch = cv2.GaussianBlur(patch, (0, 0), sigma).astype(np.float32)
    length = float(np.hypot(*smear))
    if length > 0.7:
        kernel = np.zeros((9, 9), np.float32)
        end = (round((4 + smear[0] / 2) * 16), round((4 + smear[1] / 2) * 16))
        start = (round((4 - smear[0] / 2) * 16), round((4 - smear[1] / 2) * 16))
        drawn = np.zeros((9, 9), np.uint8)
        cv2.line(drawn, start, end, 255, 1, cv2.LINE_AA, 4)
        kernel = drawn.astype(np.float32) / max(float(drawn.sum()), 1.0)
        patch = cv2.filter2D(patch, -1, kernel, borderType=cv2.BORDER_CONSTANT).astype(np.float32)
    return patch


def shrink(
    rng: np.random.Generator,
    warped: FloatArray,
    side: float,
    sigma: float = 0.0,
    smear: tuple[float, float] = (0.0, 0.0),
) -> Patch | None:
    """The warped sprite at a longer side of about `side` px, at a random subpixel offset.

    Args:
        sigma: standard deviation of the defocus, px.
        smear: movement of the camera during the exposure, (x, y) px, at most about 6.

    Returns:
        None if no pixel of the result has alpha above one half.
    """
    h, w = warped.shape[:2]
    factor = max(h, w) / side
    margin = 4
    columns, rows = int(np.ceil(w / factor)) + 1, int(np.ceil(h / factor)) + 1
    wide, tall = max(round(columns * factor), w), max(round(rows * factor), h)
    x, y = int(rng.integers(0, wide - w + 1)), int(rng.integers(0, tall - h + 1))
    padded = cv2.copyMakeBorder(
        warped, y, tall - h - y, x, wide - w - x, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
    )
    small = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(
        small, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
    )
    pixels = _blurred(small.astype(np.float32), sigma, smear)
    box = tight_box(pixels[..., 3])
    return None if box is None else Patch(pixels, box)
