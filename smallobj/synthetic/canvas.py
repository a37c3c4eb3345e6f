"""Canvas of the synthetic dataset: supersampled, premultiplied BGRA with relief shading.

A `Canvas` is a square of `size` pixels that spans [-1.05, 1.05] in both directions (x to the
right, y down). Drawings fill about [-1, 1] and are scaled down afterwards, which antialiases every
edge. Shapes are masks, float32 (size, size) in [0, 1]. `paint` fills a mask with a colour. `relief`
shades the drawing by a height map under the canvas's light: Lambert's cosine law plus a
Blinn-Phong highlight.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Colour = Sequence[float] | FloatArray

_SPAN = 1.05
_SHIFT = 4  # cv2's fixed-point bits: vertices lie on 1/16 of a pixel


def rgb(red: float, green: float, blue: float) -> FloatArray:
    """The colour as float32 (3,) in BGR order, as in all images here."""
    return np.array([blue, green, red], dtype=np.float32)


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 12.0) -> FloatArray:
    """`colour` with random shifts of its brightness and, half as large, of each channel."""
    base = np.asarray(colour, dtype=np.float32)
    shift = rng.normal(0, amount) + rng.normal(0, amount / 2, 3)
    return np.clip(base + shift, 0, 255).astype(np.float32)


def pick(rng: np.random.Generator, colours: Sequence[Colour], amount: float = 12.0) -> FloatArray:
    """A random one of `colours`, jittered."""
    return jitter(rng, colours[int(rng.integers(len(colours)))], amount)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: float) -> FloatArray:
    """Smooth noise, float32 (height, width), about [-1, 1], `cells` waves along the longer side."""
    step = max(height, width) / max(cells, 1.0)
    rows, columns = int(height / step) + 3, int(width / step) + 3
    grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)


class Canvas:
    """A square drawing of one object, in the coordinates of the module's docstring.

    Args:
        size: side in pixels.
        light: vector (x, y, z) towards the light, z out of the image plane; any length.
    """

    def __init__(
        self, size: int = 448, light: tuple[float, float, float] = (-0.5, -0.6, 0.8)
    ) -> None:
        self.size = size
        self.scale = size / (2 * _SPAN)
        vector = np.asarray(light, dtype=np.float32)
        self.light: FloatArray = vector / np.float32(np.linalg.norm(vector))
        self.bgr: FloatArray = np.zeros((size, size, 3), np.float32)
        self.alpha: FloatArray = np.zeros((size, size), np.float32)
        axis = ((np.arange(size, dtype=np.float32) + 0.5) / self.scale - _SPAN).astype(np.float32)
        self.x: FloatArray = np.broadcast_to(axis, (size, size))
        self.y: FloatArray = np.broadcast_to(axis[:, None], (size, size))

    # -- masks ---------------------------------------------------------------------------------

    def _fixed(self, points: NDArray[np.floating]) -> NDArray[np.int32]:
        pixels = (np.asarray(points, np.float32) + _SPAN) * self.scale - 0.5
        return np.round(pixels * (1 << _SHIFT)).astype(np.int32)

    def _blank(self) -> NDArray[np.uint8]:
        return np.zeros((self.size, self.size), np.uint8)

    @staticmethod
    def _mask(drawn: NDArray[np.uint8]) -> FloatArray:
        return drawn.astype(np.float32) * np.float32(1 / 255)

    def polygon(self, points: NDArray[np.floating] | Sequence[Sequence[float]]) -> FloatArray:
        """The mask of a filled polygon, points (N, 2)."""
        drawn = self._blank()
        cv2.fillPoly(drawn, [self._fixed(np.asarray(points))], 255, cv2.LINE_AA, _SHIFT)
        return self._mask(drawn)

    def ellipse(
        self, cx: float, cy: float, rx: float, ry: float | None = None, angle: float = 0.0
    ) -> FloatArray:
        """The mask of a filled ellipse, half axes `rx` and `ry`, rotated by `angle` degrees."""
        return self.polygon(ellipse_points(cx, cy, rx, rx if ry is None else ry, angle))

    def rect(
        self, cx: float, cy: float, w: float, h: float, corner: float = 0.0, angle: float = 0.0
    ) -> FloatArray:
        """The mask of a rectangle with rounded corners, rotated by `angle` degrees."""
        return self.polygon(rect_points(cx, cy, w, h, corner, angle))

    def stroke(
        self,
        points: NDArray[np.floating] | Sequence[Sequence[float]],
        width: float,
        closed: bool = False,
    ) -> FloatArray:
        """The mask of a polyline through `points` (N, 2)."""
        drawn = self._blank()
        thickness = max(1, round(width * self.scale))
        fixed = self._fixed(np.asarray(points))
        cv2.polylines(drawn, [fixed], closed, 255, thickness, cv2.LINE_AA, _SHIFT)
        return self._mask(drawn)

    def strokes(self, lines: Sequence[NDArray[np.floating]], width: float) -> FloatArray:
        """The mask of several polylines, each (N, 2)."""
        drawn = self._blank()
        thickness = max(1, round(width * self.scale))
        fixed = [self._fixed(line) for line in lines]
        cv2.polylines(drawn, fixed, False, 255, thickness, cv2.LINE_AA, _SHIFT)
        return self._mask(drawn)

    def polygons(self, shapes: Sequence[NDArray[np.floating]]) -> FloatArray:
        """The mask of several filled polygons, each (N, 2)."""
        drawn = self._blank()
        for shape in shapes:
            cv2.fillPoly(drawn, [self._fixed(shape)], 255, cv2.LINE_AA, _SHIFT)
        return self._mask(drawn)

    def text(
        self,
        words: str,
        cx: float,
        cy: float,
        height: float,
        weight: float = 0.16,
        fit: float = 9.0,
    ) -> FloatArray:
        """The mask of `words` centred on (cx, cy); `weight` is stroke width over height.

        Words wider than `fit` are scaled down to it.
        """
        font = cv2.FONT_HERSHEY_SIMPLEX
        pixels = height * self.scale
        thickness = max(1, round(weight * pixels))
        factor = pixels / 22.0
        (width, tall), _ = cv2.getTextSize(words, font, factor, thickness)
        if width > fit * self.scale:
            return self.text(words, cx, cy, height * fit * self.scale / width * 0.97, weight, fit)
        left = round((cx + _SPAN) * self.scale - width / 2)
        bottom = round((cy + _SPAN) * self.scale + tall / 2)
        drawn = self._blank()
        cv2.putText(drawn, words, (left, bottom), font, factor, 255, thickness, cv2.LINE_AA)
        return self._mask(drawn)

    # -- painting ------------------------------------------------------------------------------

    def paint(self, mask: FloatArray, colour: Colour, inside: bool = False) -> None:
        """Paints `colour`, (3,) or (size, size, 3) BGR, over the canvas with opacity `mask`.

        With `inside`, alpha does not change: only the existing drawing is painted over.
        """
        if inside:
            mask = mask * self.alpha
        field = np.asarray(colour, np.float32)
        rest = np.float32(1) - mask
        self.bgr *= rest[..., None]
        self.bgr += mask[..., None] * field
        if not inside:
            self.alpha *= rest
            self.alpha += mask

    def cut(self, mask: FloatArray) -> None:
        """Makes the canvas transparent where `mask` is 1."""
        rest = np.float32(1) - mask
        self.bgr *= rest[..., None]
        self.alpha *= rest

    def shade(self, factor: FloatArray, mask: FloatArray | None = None) -> None:
        """Multiplies the colours by `factor`, (size, size), where `mask` is 1."""
        if mask is not None:
            factor = np.float32(1) + mask * (factor - np.float32(1))
        self.bgr *= factor[..., None]
        np.minimum(self.bgr, self.alpha[..., None] * np.float32(255), out=self.bgr)

    def relief(
        self,
        height: FloatArray,
        mask: FloatArray | None = None,
        gloss: float = 0.0,
        shine: float = 20.0,
        ambient: float = 0.45,
    ) -> None:
        """Shades the drawing as a surface of that `height` (same unit as x and y).

        A flat surface keeps its colour. `gloss` is the strength of the highlight (1: white) and
        `shine` its exponent.
        """
        slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=self.scale / 8)
        slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=self.scale / 8)
        inverse = 1 / np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
        lx, ly, lz = (float(v) for v in self.light)
        cosine = np.maximum((lz - lx * slope_x - ly * slope_y) * inverse, 0)
        self.shade((ambient + (1 - ambient) / lz * cosine).astype(np.float32), mask)
        if gloss > 0:
            half = self.light + np.array([0, 0, 1], np.float32)
            hx, hy, hz = (float(v) for v in half / np.linalg.norm(half))
            spark = np.maximum((hz - hx * slope_x - hy * slope_y) * inverse, 0) ** shine
            amount = spark * self.alpha * np.float32(gloss)
            if mask is not None:
                amount = amount * mask
            self.bgr += amount[..., None] * np.float32(255)
            np.minimum(self.bgr, self.alpha[..., None] * np.float32(255), out=self.bgr)

    # -- surfaces ------------------------------------------------------------------------------

    def bevel(self, mask: FloatArray, radius: float) -> FloatArray:
        """A height map that rounds the edges of `mask` as quarter circles of that radius."""
        solid = (mask > 0.5).astype(np.uint8)
        inner = cv2.distanceTransform(solid, cv2.DIST_L2, 3) / np.float32(self.scale)
        rest = np.maximum(radius - inner, 0)
        height = np.sqrt(np.maximum(radius * radius - rest * rest, 0)).astype(np.float32)
        return cv2.GaussianBlur(height * solid, (0, 0), (0.008 + 0.06 * radius) * self.scale + 0.5)

    def noise(self, rng: np.random.Generator, cells: float) -> FloatArray:
        """Smooth noise over the canvas, about [-1, 1]."""
        return smooth_noise(rng, self.size, self.size, cells)

    def wear(self, rng: np.random.Generator, amount: float = 0.12, cells: float = 9.0) -> None:
        """Adds uneven dirt and fading to the whole drawing."""
        self.shade((1 + amount * self.noise(rng, cells)).astype(np.float32))

    def premultiplied(self) -> FloatArray:
        """The drawing, float32 (size, size, 4): B, G, R times alpha, and alpha in [0, 1]."""
        return np.dstack([self.bgr, self.alpha])


def ellipse_points(
    cx: float, cy: float, rx: float, ry: float, angle: float = 0.0, count: int = 72
) -> FloatArray:
    """The outline of an ellipse rotated by `angle` degrees, float32 (count, 2)."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return turned(np.stack([rx * np.cos(turn), ry * np.sin(turn)], 1), angle, cx, cy)


def rect_points(
    cx: float, cy: float, w: float, h: float, corner: float = 0.0, angle: float = 0.0
) -> FloatArray:
    """The outline of a rectangle with rounded corners, rotated, float32 (N, 2)."""
    corner = min(corner, w / 2, h / 2)
    arc = np.linspace(0, np.pi / 2, 8 if corner > 0 else 1)
    parts = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        turn = arc + quarter * np.pi / 2
        centre = np.array([sx * (w / 2 - corner), sy * (h / 2 - corner)])
        parts.append(centre + corner * np.stack([np.cos(turn), np.sin(turn)], 1))
    return turned(np.concatenate(parts), angle, cx, cy)


def turned(
    points: NDArray[np.floating], angle: float, cx: float = 0.0, cy: float = 0.0
) -> FloatArray:
    """Points (N, 2) rotated by `angle` degrees about the origin, then moved by (cx, cy).

    Positive angles turn clockwise as seen in the image, since y points down.

    >>> turned(np.array([[1.0, 0.0]]), 90, cx=5, cy=5).round(3).tolist()
    [[5.0, 6.0]]
    """
    radians = np.deg2rad(angle)
    cosine, sine = np.cos(radians), np.sin(radians)
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    return (np.asarray(points) @ matrix + (cx, cy)).astype(np.float32)
