"""Unlabelled objects: pebbles, leaves, paper, twigs, buttons, cables, stains."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from smallobj.synthetic.canvas import Canvas, FloatArray, ellipse_points, jitter, pick, rgb


def _pebble(rng: np.random.Generator, canvas: Canvas) -> None:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 0.8 + sum(
        rng.uniform(-0.1, 0.1) * np.cos(k * turn + rng.uniform(0, 6)) for k in (2, 3, 4)
    )
    body = canvas.polygon(
        np.stack([radius * np.cos(turn), rng.uniform(0.55, 1) * radius * np.sin(turn)], 1)
    )
    canvas.paint(
        body,
        pick(rng, [rgb(130, 124, 116), rgb(90, 84, 80), rgb(172, 160, 142), rgb(140, 104, 84)]),
    )
    height = canvas.bevel(body, 0.6) + 0.05 * canvas.noise(rng, 10)
    canvas.relief(height.astype(np.float32), gloss=rng.uniform(0, 0.2))
    canvas.wear(rng, 0.15, 14)


def _leaf(rng: np.random.Generator, canvas: Canvas) -> None:
    along = np.linspace(-0.85, 0.95, 30)
    half = rng.uniform(0.3, 0.5) * np.sin(np.linspace(0, np.pi, 30)) ** 0.8
    bend = rng.uniform(-0.2, 0.2) * along**2
    outline = np.concatenate(
        [np.stack([along, bend - half], 1), np.stack([along, bend + half], 1)[::-1]]
    )
    colour = pick(rng, [rgb(90, 120, 50), rgb(160, 110, 50), rgb(130, 70, 40), rgb(190, 160, 70)])
    canvas.paint(canvas.stroke([[-1, bend[0]], [-0.6, bend[4]]], 0.05), colour * 0.7)
    canvas.paint(canvas.polygon(outline), colour)
    veins = [np.stack([along, bend], 1)]
    veins += [np.array([[x, 0], [x + 0.25, s * 0.35]]) for x in (-0.4, 0.0, 0.4) for s in (-1, 1)]
    canvas.paint(canvas.strokes(veins, 0.03), colour * 1.25, inside=True)
    canvas.relief((0.1 * canvas.noise(rng, 4)).astype(np.float32))
    canvas.wear(rng, 0.15)


def _paper_scrap(rng: np.random.Generator, canvas: Canvas) -> None:
    """A torn scrap of paper, often printed."""
    turn = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 10))))
    radius = rng.uniform(0.65, 1.0, len(turn))
    body = canvas.polygon(np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1))
    canvas.paint(body, rgb(*rng.uniform(170, 245, 3)) * 0.5 + np.float32(115))
    if rng.random() < 0.6:
        ink = pick(rng, [rgb(40, 40, 44), rgb(40, 60, 130), rgb(160, 40, 40)])
        for y in np.arange(-0.6, 0.7, rng.uniform(0.2, 0.4)):
            word = "".join(chr(int(c)) for c in rng.integers(97, 123, 9))
            canvas.paint(canvas.text(word, 0, float(y), 0.16, 0.14), ink, inside=True)
    canvas.relief((0.12 * canvas.noise(rng, 3)).astype(np.float32))


def _twig(rng: np.random.Generator, canvas: Canvas) -> None:
    along = np.linspace(-0.95, 0.95, 12)
    line = np.stack([along, np.cumsum(rng.normal(0, 0.05, 12))], 1).clip(-0.9, 0.9)
    canvas.paint(
        canvas.stroke(line, rng.uniform(0.04, 0.1)), pick(rng, [rgb(96, 72, 50), rgb(140, 116, 86)])
    )
    canvas.relief(canvas.bevel(canvas.alpha, 0.06))


def _button(rng: np.random.Generator, canvas: Canvas) -> None:
    """A sewing button: round with a rim like a coin, but coloured and with holes."""
    colour = rng.uniform(40, 230, 3).astype(np.float32)
    body = canvas.ellipse(0, 0, 0.95)
    canvas.paint(body, colour)
    canvas.relief(
        canvas.bevel(body, 0.2) - canvas.bevel(canvas.ellipse(0, 0, 0.65), 0.12), gloss=0.3
    )
    turns = np.arange(4) * np.pi / 2 + 0.7
    canvas.cut(
        canvas.polygons(
            [ellipse_points(0.22 * np.cos(t), 0.22 * np.sin(t), 0.1, 0.1) for t in turns]
        )
    )


def _crumb(rng: np.random.Generator, canvas: Canvas) -> None:
    body = canvas.ellipse(0, 0, 0.8, rng.uniform(0.4, 0.8))
    canvas.paint(body, rng.uniform(40, 200) + rng.uniform(-30, 30, 3).astype(np.float32))
    canvas.relief((canvas.bevel(body, 0.5) + 0.2 * canvas.noise(rng, 5)).astype(np.float32))


CLUTTER: dict[str, Callable[[np.random.Generator, Canvas], None]] = {
    "pebble": _pebble,
    "leaf": _leaf,
    "paper": _paper_scrap,
    "twig": _twig,
    "button": _button,
    "crumb": _crumb,
}
_WEIGHTS = np.array([0.3, 0.2, 0.12, 0.13, 0.05, 0.2])


def draw_clutter(
    rng: np.random.Generator, light: tuple[float, float, float], size: int
) -> tuple[str, FloatArray]:
    """A random unlabelled object: its kind and premultiplied BGRA, float32 (size, size, 4)."""
    name = str(rng.choice(list(CLUTTER), p=_WEIGHTS))
    canvas = Canvas(size, light)
    CLUTTER[name](rng, canvas)
    return name, canvas.premultiplied()


def lay_cable(rng: np.random.Generator, image: NDArray[np.uint8]) -> None:
    """Draws a cable with shadow and highlight across `image`, in place."""
    h, w = image.shape[:2]
    knots = rng.uniform(-0.1, 1.1, (4, 2)) * (w, h)
    t = np.linspace(0, 1, 80)[:, None]
    bezier = (
        (1 - t) ** 3 * knots[0]
        + 3 * t * (1 - t) ** 2 * knots[1]
        + 3 * t**2 * (1 - t) * knots[2]
        + t**3 * knots[3]
    )
    line = [np.round(bezier * 16).astype(np.int32)]
    width = max(2, round(rng.uniform(4, 16) * min(1.0, h / 1000)))
    colour = pick(rng, [rgb(30, 30, 34), rgb(220, 220, 218), rgb(180, 40, 40), rgb(60, 80, 150)])
    dark = [np.round((bezier + width * np.array([0.5, 0.6])) * 16).astype(np.int32)]
    shaded = image.copy()
    cv2.polylines(shaded, dark, False, (20, 20, 20), width, cv2.LINE_AA, 4)
    cv2.addWeighted(shaded, 0.4, image, 0.6, 0, dst=image)
    for part, gain in ((1.0, 0.7), (0.7, 1.0), (0.25, 1.25)):
        tone = tuple(float(c) for c in np.clip(colour * gain + (12 if gain > 1 else 0), 0, 255))
        cv2.polylines(image, line, False, tone, max(1, round(width * part)), cv2.LINE_AA, 4)


def spill_stain(rng: np.random.Generator, image: NDArray[np.uint8]) -> None:
    """Darkens or tints an irregular patch of `image`, in place."""
    h, w = image.shape[:2]
    side = int(min(h, w) * rng.uniform(0.05, 0.25))
    if side < 8:
        return
    y, x = int(rng.integers(0, h - side)), int(rng.integers(0, w - side))
    canvas = Canvas(96)
    _pebble(rng, canvas)
    mask = cv2.GaussianBlur(canvas.alpha, (0, 0), rng.uniform(1, 6))
    mask = cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
    tint = jitter(rng, rgb(*(rng.uniform(0.5, 0.8) + rng.uniform(-0.12, 0.12, 3))) * 255, 4) / 255
    patch = image[y : y + side, x : x + side].astype(np.float32)
    patch *= 1 + mask * (tint - 1) * np.float32(rng.uniform(0.3, 0.9))
    image[y : y + side, x : x + side] = np.clip(patch, 0, 255).astype(np.uint8)
