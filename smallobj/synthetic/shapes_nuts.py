"""Drawings of nuts and seeds: chestnut, Brazil nut, ginkgo, pecan, walnut, two kinds of seed.

Each has an outline in polar or profile form, a colour, a rounded relief under the light and the
marks that distinguish it from similar classes (base, ridges, seam, wrinkles, rim, stripes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smallobj.synthetic.canvas import Canvas, FloatArray, jitter, pick, rgb


def _spline(
    at: NDArray[np.floating], knots: NDArray[np.floating], values: NDArray[np.floating]
) -> FloatArray:
    """Cubic Hermite interpolation with Catmull-Rom tangents."""
    slopes = np.gradient(values, knots)
    left = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    step = knots[left + 1] - knots[left]
    t = (at - knots[left]) / step
    rise = (1 + 2 * t) * (1 - t) ** 2 * values[left] + t * (1 - t) ** 2 * step * slopes[left]
    fall = t**2 * (3 - 2 * t) * values[left + 1] + t**2 * (t - 1) * step * slopes[left + 1]
    return np.asarray(rise + fall, np.float32)


def _profile(widths: list[float], bend: float = 0.0) -> FloatArray:
    """An outline along x from -1 to 1; the half width is a spline through `widths`."""
    along = np.linspace(-1, 1, 60)
    knots = np.linspace(-1, 1, len(widths))
    # Interpolation of the squares makes the ends round, not pointed.
    half = np.sqrt(np.maximum(_spline(along, knots, np.square(widths)), 0))
    smooth = np.convolve(np.pad(half, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    smooth[0], smooth[-1] = half[0], half[-1]
    centre = bend * (along**2 - 0.5)
    upper = np.stack([along, centre - smooth], 1)
    lower = np.stack([along, centre + smooth], 1)[::-1]
    return np.concatenate([upper, lower]).astype(np.float32)


def _drop(fat: float, blunt: float) -> FloatArray:
    """The outline of a drop along x, pointed at -1 and round at 1, of largest half width `fat`."""
    t = np.linspace(0, 1, 80)
    half = t**0.85 * (1 - t**blunt) ** 0.5
    half = fat * half / half.max()
    upper = np.stack([2 * t - 1, -half], 1)
    return np.concatenate([upper, (upper * (1, -1))[::-1]]).astype(np.float32)


def _blob(rng: np.random.Generator, rx: float, ry: float, rough: float = 0.04) -> FloatArray:
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.ones_like(turn)
    for wave in range(2, 6):
        radius += rough / wave * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    return np.stack([rx * radius * np.cos(turn), ry * radius * np.sin(turn)], 1).astype(np.float32)


def _field(
    canvas: Canvas, dark: FloatArray, pale: FloatArray, weight: NDArray[np.generic]
) -> FloatArray:
    mixed = np.clip(weight, 0, 1)[..., None]
    return (dark * (1 - mixed) + pale * mixed).astype(np.float32)


def draw_chestnut(rng: np.random.Generator, canvas: Canvas) -> None:
    """Glossy dark brown, pointed at the top, with a pale rough base."""
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 0.82 + 0.04 * np.cos(3 * turn + rng.uniform(0, 6))
    point = 0.16 * np.exp(-(((turn - 1.5 * np.pi) / 0.16) ** 2))
    x = 1.1 * rng.uniform(0.94, 1.04) * radius * np.cos(turn)
    y = (radius + point) * np.sin(turn) * rng.uniform(0.86, 0.98)
    body = canvas.polygon(np.stack([x, y], 1))
    brown = pick(rng, [rgb(96, 48, 24), rgb(120, 62, 30), rgb(78, 36, 20)], 7)
    streak = 0.5 + 0.5 * np.sin(18 * canvas.x / (1.2 + canvas.y * 0.4) + canvas.noise(rng, 5))
    canvas.paint(body, _field(canvas, brown, brown * 1.25, streak * 0.5))
    if rng.random() < 0.8:
        base = canvas.ellipse(0, rng.uniform(0.62, 0.85), rng.uniform(0.5, 0.75), 0.26)
        canvas.paint(base, jitter(rng, rgb(186, 150, 108)), inside=True)
    canvas.relief(canvas.bevel(body, 0.8), gloss=rng.uniform(0.5, 0.85), shine=24, ambient=0.4)
    canvas.wear(rng, 0.08)


def draw_brazil_nut(rng: np.random.Generator, canvas: Canvas) -> None:
    """A three-edged wedge: in its rough grey-brown shell, or shelled, cream under brown skin."""
    fat = rng.uniform(0.42, 0.54)
    outline = _profile([0.06, fat * 0.8, fat, fat * 0.9, 0.08], rng.uniform(0.2, 0.34))
    body = canvas.polygon(outline)
    if rng.random() < 0.6:
        shell = pick(rng, [rgb(104, 78, 56), rgb(124, 96, 72)], 8)
        canvas.paint(
            body, _field(canvas, shell * 0.8, shell * 1.2, 0.5 + 0.5 * canvas.noise(rng, 22))
        )
    else:
        cream = jitter(rng, rgb(222, 198, 156), 8)
        skin = rgb(124, 78, 44)
        canvas.paint(body, _field(canvas, skin, cream, 0.6 + 1.6 * canvas.noise(rng, 8)))
    ridge = np.abs(canvas.y - 0.27 * (canvas.x**2 - 0.5) + rng.uniform(-0.1, 0.12))
    height = 0.9 * np.minimum(canvas.bevel(body, 0.5), 0.55 - 0.55 * ridge)
    height = height + 0.02 * canvas.noise(rng, 30)
    canvas.relief(height.astype(np.float32), gloss=0.08, ambient=0.35)
    canvas.wear(rng)


def draw_ginkgo_nut(rng: np.random.Generator, canvas: Canvas) -> None:
    """Smooth, ivory, almond-shaped, with a ridge between its two points."""
    fat = rng.uniform(0.6, 0.7)
    body = canvas.polygon(_profile([0.02, fat * 0.82, fat, fat * 0.8, 0.02]))
    canvas.paint(body, jitter(rng, rgb(226, 210, 172), 8))
    keel = np.exp(-((canvas.y / 0.045) ** 2))
    height = canvas.bevel(body, 0.62) + 0.07 * keel
    canvas.relief(height.astype(np.float32), gloss=0.22, shine=18, ambient=0.4)
    canvas.shade((1 - 0.22 * np.exp(-(((canvas.y - 0.06) / 0.03) ** 2))).astype(np.float32))
    canvas.wear(rng, 0.07, 5)


def draw_pecan(rng: np.random.Generator, canvas: Canvas) -> None:
    """A shelled half with two deep grooves, or a smooth tan shell with dark flecks at one end."""
    fat = rng.uniform(0.42, 0.52)
    body = canvas.polygon(_profile([0.05, fat * 0.85, fat, fat * 0.85, 0.05]))
    round_height = canvas.bevel(body, 0.5)
    if rng.random() < 0.6:
        canvas.paint(body, pick(rng, [rgb(134, 80, 42), rgb(156, 98, 54)], 8))
        wobble = canvas.y + 0.05 * canvas.noise(rng, 9)
        width = 0.16 * np.sqrt(np.maximum(1 - canvas.x**2, 0.02))
        left, right = (np.exp(-(((wobble - s * width) / 0.035) ** 2)) for s in (-1.1, 1.1))
        groove = left + right
        ripple = 0.03 * np.sin(canvas.x * 16 + 4 * canvas.noise(rng, 6))
        height = round_height - 0.12 * groove + ripple
        canvas.shade((1 - 0.45 * groove).astype(np.float32))
        canvas.relief(height.astype(np.float32), gloss=0.15, ambient=0.35)
    else:
        shell = jitter(rng, rgb(172, 116, 72), 8)
        flecks = (canvas.noise(rng, 16) > 0.25) * np.clip(np.abs(canvas.x) * 1.6 - 0.5, 0, 1)
        canvas.paint(body, _field(canvas, shell, rgb(60, 36, 24), flecks))
        canvas.relief(round_height, gloss=0.4, shine=22, ambient=0.4)
    canvas.wear(rng, 0.08)


def draw_walnut(rng: np.random.Generator, canvas: Canvas) -> None:
    """Round, tan, wrinkled all over, with a seam."""
    body = canvas.polygon(_blob(rng, 0.97, rng.uniform(0.8, 0.9)))
    canvas.paint(body, pick(rng, [rgb(178, 136, 88), rgb(158, 114, 70), rgb(194, 156, 110)], 8))
    wrinkle = np.abs(canvas.noise(rng, 11)) + 0.6 * np.abs(canvas.noise(rng, 20))
    seam_line = canvas.y + 0.05 * canvas.noise(rng, 5) - rng.uniform(-0.15, 0.15)
    seam = np.exp(-((seam_line / 0.05) ** 2))
    canvas.shade(np.clip(0.62 + 0.75 * wrinkle, 0.5, 1.12).astype(np.float32))
    canvas.shade(
        (1 - 0.35 * np.exp(-(((np.abs(seam_line) - 0.09) / 0.03) ** 2))).astype(np.float32)
    )
    height = canvas.bevel(body, 0.85) + 0.09 * wrinkle + 0.08 * seam
    canvas.relief(height.astype(np.float32), gloss=0.06, ambient=0.35)


def draw_pumpkin_seed(rng: np.random.Generator, canvas: Canvas) -> None:
    """A flat drop shape: ivory with a raised rim, or hulled and dark green."""
    fat = rng.uniform(0.5, 0.6)
    outline = _drop(fat, rng.uniform(3, 5))
    body = canvas.polygon(outline)
    core = canvas.polygon(outline * 0.82 + (0.05, 0.0))
    if rng.random() < 0.65:
        ivory = jitter(rng, rgb(236, 226, 196), 7)
        canvas.paint(body, ivory)
        canvas.shade(np.full_like(core, 0.9), core)
        edge = np.maximum(core - canvas.polygon(outline * 0.75 + (0.06, 0.0)), 0)
        canvas.shade(np.full_like(core, 0.8), edge)
        canvas.relief(canvas.bevel(body, 0.12) - 0.5 * canvas.bevel(core, 0.08), gloss=0.1)
    else:
        green = pick(rng, [rgb(92, 104, 58), rgb(112, 120, 70)], 8)
        canvas.paint(
            body, _field(canvas, green * 0.8, green * 1.15, 0.5 + canvas.noise(rng, 9) / 2)
        )
        canvas.relief(canvas.bevel(body, 0.3), gloss=0.2, shine=16)
    canvas.wear(rng, 0.06)


def draw_sunflower_seed(rng: np.random.Generator, canvas: Canvas) -> None:
    """A narrow drop shape, black with pale lengthwise stripes."""
    fat = rng.uniform(0.4, 0.5)
    body = canvas.polygon(_drop(fat, rng.uniform(3, 6)))
    dark = pick(rng, [rgb(38, 36, 38), rgb(58, 54, 54)], 5)
    pale = jitter(rng, rgb(206, 200, 186), 8)
    lines = np.cos(canvas.y / (0.25 + 0.25 * np.cos(canvas.x * 1.2)) * rng.uniform(8, 11))
    weight = (lines + 0.25 * canvas.noise(rng, 14) - rng.uniform(0.2, 0.5)) * 4
    canvas.paint(body, _field(canvas, dark, pale, weight))
    canvas.relief(canvas.bevel(body, 0.4), gloss=0.18, shine=16, ambient=0.4)
