"""Drawings of money: four Korean coins and four kinds of banknote.

The coins are near-identical on purpose. They share one round shape and differ in metal, width of
the rim, numeral and the figure in relief. The notes share a layout and differ in tint, position of
the portrait and ornaments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smallobj.synthetic.canvas import (
    Canvas,
    FloatArray,
    ellipse_points,
    jitter,
    pick,
    rect_points,
    rgb,
    turned,
)

_SILVER = (rgb(186, 186, 182), rgb(205, 205, 203), rgb(165, 163, 158))


@dataclass(frozen=True)
class _Coin:
    numeral: str
    metals: tuple[FloatArray, ...]
    rim: float  # width of the rim divided by the radius
    beads: int  # number of dots along the inner edge of the rim
    numeral_height: float


_COINS = {
    10: _Coin("10", (rgb(190, 112, 70), rgb(172, 95, 58), rgb(196, 140, 76)), 0.08, 0, 0.78),
    50: _Coin("50", (rgb(186, 182, 168), rgb(170, 165, 150)), 0.10, 40, 0.70),
    100: _Coin("100", _SILVER, 0.13, 0, 0.58),
    500: _Coin("500", _SILVER, 0.17, 56, 0.54),
}


def _pagoda(canvas: Canvas) -> FloatArray:
    shapes = []
    for level in range(5):
        width, top = 0.24 + 0.16 * level, -0.62 + 0.25 * level
        shapes.append(
            np.array(
                [
                    [-width * 0.55, top],
                    [width * 0.55, top],
                    [width * 0.75, top + 0.11],
                    [-width * 0.75, top + 0.11],
                ]
            )
        )
        shapes.append(rect_points(0, top + 0.18, width * 0.7, 0.13))
    return canvas.polygons(shapes)


def _rice(canvas: Canvas) -> FloatArray:
    shapes = []
    for ear, lean in enumerate((-0.3, 0.05, 0.35)):
        for grain in range(6):
            along = grain / 5
            x = lean * 1.2 * along + (ear - 1) * 0.1
            y = 0.62 - 1.15 * along
            for side in (-1, 1):
                shapes.append(ellipse_points(x + side * 0.07, y, 0.1, 0.05, -70 * side, 16))
    return canvas.polygons(shapes)


def _portrait(canvas: Canvas) -> FloatArray:
    return canvas.polygons(
        [
            ellipse_points(0.02, -0.12, 0.24, 0.31),
            ellipse_points(0.0, -0.36, 0.34, 0.09),
            rect_points(0.0, -0.48, 0.34, 0.22, 0.08),
            ellipse_points(0.0, 0.5, 0.46, 0.3),
            rect_points(0.0, 0.2, 0.18, 0.2),
        ]
    )


def _crane(canvas: Canvas) -> FloatArray:
    wing = np.array([[-0.05, 0.05], [-0.72, -0.32], [-0.5, 0.0], [-0.4, 0.16], [-0.1, 0.2]])
    other = wing * (-1, 1) + (0.0, -0.1)
    body = ellipse_points(0.0, 0.1, 0.24, 0.1, 30)
    neck = np.array([[0.1, 0.1], [0.3, 0.42], [0.36, 0.38], [0.2, 0.05]])
    legs = np.array([[-0.15, 0.02], [-0.32, -0.6], [-0.24, -0.62], [-0.05, 0.0]])
    return canvas.polygons([wing, other, body, neck, legs])


_FIGURES = {10: _pagoda, 50: _rice, 100: _portrait, 500: _crane}


def _coin(rng: np.random.Generator, canvas: Canvas, value: int) -> None:
    kind = _COINS[value]
    blank = canvas.ellipse(0, 0, 1.0)
    colour = pick(rng, kind.metals, 10)
    canvas.paint(blank, colour)
    radius = np.sqrt(canvas.x**2 + canvas.y**2)
    rim = kind.rim * rng.uniform(0.9, 1.1)
    field = canvas.ellipse(0, 0, 1 - rim)
    if rng.random() < 0.5:
        motif = canvas.text(kind.numeral, 0, 0, kind.numeral_height, 0.2)
    else:
        motif = _FIGURES[value](canvas)
    if kind.beads:
        turns = np.linspace(0, 2 * np.pi, kind.beads, endpoint=False)
        ring = 1 - rim - 0.06
        dots = [
            ellipse_points(ring * np.cos(t), ring * np.sin(t), 0.03, 0.03, 0, 10) for t in turns
        ]
        motif = np.maximum(motif, canvas.polygons(dots))
    motif = motif * field
    # Handling polishes the relief and patina darkens the ground around it, which a camera sees.
    patina = rng.uniform(0.62, 0.85)
    canvas.shade(np.full_like(radius, patina), field * (1 - motif))
    canvas.shade(np.full_like(radius, rng.uniform(1.05, 1.2)), motif)
    height = canvas.bevel(1 - field, 0.04) * blank + 0.9 * canvas.bevel(motif, 0.06)
    canvas.relief(height.astype(np.float32), gloss=rng.uniform(0.1, 0.35), shine=30)
    angle = np.arctan2(canvas.y, canvas.x)
    toward = np.arctan2(float(canvas.light[1]), float(canvas.light[0]))
    canvas.shade((1 + 0.16 * np.cos(2 * (angle - toward)) * radius).astype(np.float32))
    canvas.wear(rng, rng.uniform(0.03, 0.15), 7)


def draw_coin_10(rng: np.random.Generator, canvas: Canvas) -> None:
    """10 won: copper, thin rim, pagoda."""
    _coin(rng, canvas, 10)


def draw_coin_50(rng: np.random.Generator, canvas: Canvas) -> None:
    """50 won: dull nickel, beaded, ears of rice."""
    _coin(rng, canvas, 50)


def draw_coin_100(rng: np.random.Generator, canvas: Canvas) -> None:
    """100 won: nickel, plain rim, portrait."""
    _coin(rng, canvas, 100)


def draw_coin_500(rng: np.random.Generator, canvas: Canvas) -> None:
    """500 won: nickel, wide beaded rim, crane."""
    _coin(rng, canvas, 500)


def _sheet(rng: np.random.Generator, canvas: Canvas, colour: FloatArray, ratio: float) -> float:
    """Paints a blank note with a guilloche pattern; returns its half height, 1/ratio."""
    half = 1 / ratio
    canvas.paint(canvas.rect(0, 0, 2, 2 * half, 0.01), colour)
    waves = np.sin(canvas.x * rng.uniform(20, 34) + 5 * np.sin(canvas.y * rng.uniform(5, 9)))
    canvas.shade((1 + 0.07 * waves).astype(np.float32))
    return half


def _head(canvas: Canvas, x: float, half: float, dark: FloatArray, pale: FloatArray) -> None:
    canvas.paint(canvas.ellipse(x, half * 0.62, half * 0.62, half * 0.32), dark, inside=True)
    canvas.paint(canvas.ellipse(x, -half * 0.12, half * 0.40, half * 0.55), dark, inside=True)
    canvas.paint(canvas.ellipse(x, -half * 0.02, half * 0.28, half * 0.40), pale, inside=True)


def _creases(rng: np.random.Generator, canvas: Canvas, half: float) -> None:
    """Adds folds and a gentle wave of the paper."""
    height = 0.05 * np.sin(canvas.x * rng.uniform(1, 3) + rng.uniform(0, 6))
    height = height + 0.03 * canvas.noise(rng, 4)
    for _ in range(int(rng.integers(0, 3))):
        x, lean = rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 0.3)
        height = height + 0.10 * np.abs(canvas.x - x + lean * canvas.y)
    canvas.relief(height.astype(np.float32), ambient=0.4)
    if rng.random() < 0.2:  # a folded corner
        corner = np.array([[1.1, half * 1.1], [1.1, half * 0.4], [0.75, half * 1.1]])
        canvas.cut(canvas.polygon(corner * (rng.choice([-1, 1]), rng.choice([-1, 1]))))
    canvas.wear(rng, 0.08)


def _lines(
    rng: np.random.Generator, x0: float, x1: float, y0: float, count: int
) -> list[FloatArray]:
    rows = []
    for row in range(count):
        y = y0 + 0.06 * row
        rows.append(np.array([[x0, y], [rng.uniform((x0 + x1) / 2, x1), y]], np.float32))
    return rows


def draw_us_banknote(rng: np.random.Generator, canvas: Canvas) -> None:
    """US dollar: grey-green, dark frame, oval portrait in the middle, seal on the right."""
    paper = jitter(rng, rgb(196, 203, 178), 8)
    ink = jitter(rng, rgb(58, 78, 62), 8)
    half = _sheet(rng, canvas, paper, rng.uniform(2.25, 2.4))
    frame = canvas.rect(0, 0, 1.9, 2 * half - 0.1, 0.03)
    frame = frame - canvas.rect(0, 0, 1.74, 2 * half - 0.24, 0.08)
    canvas.paint(np.maximum(frame, 0), ink, inside=True)
    canvas.paint(canvas.ellipse(0, 0, half * 0.66, half * 0.8), ink * 1.35, inside=True)
    _head(canvas, 0, half * 0.85, ink * 0.8, paper)
    canvas.paint(canvas.ellipse(0.48, 0.02, 0.13), jitter(rng, rgb(50, 120, 75)), inside=True)
    canvas.paint(canvas.ellipse(-0.5, 0.02, 0.11), ink, inside=True)
    value = str(rng.choice(["1", "5", "10", "20", "50", "100"]))
    for x in (-0.78, 0.78):
        for y in (-half + 0.13, half - 0.13):
            canvas.paint(canvas.rect(x, y, 0.26, 0.17, 0.05), paper, inside=True)
            canvas.paint(canvas.text(value, x, y, 0.12), ink, inside=True)
    _creases(rng, canvas, half)


_EURO = {
    "5": rgb(165, 165, 158),
    "10": rgb(214, 128, 112),
    "20": rgb(110, 150, 196),
    "50": rgb(226, 158, 90),
    "100": rgb(120, 180, 120),
}


def draw_euro_banknote(rng: np.random.Generator, canvas: Canvas) -> None:
    """Euro: squarer, an arch, a white field with a hologram strip, a ring of stars."""
    value = str(rng.choice(list(_EURO)))
    tint = jitter(rng, _EURO[value], 8)
    pale = tint * 0.4 + 150
    half = _sheet(rng, canvas, pale, rng.uniform(1.82, 1.95))
    canvas.paint(canvas.rect(-0.05, 0, 1.0, 2 * half), tint, inside=True)
    arch = [[-0.38, half], [-0.38, -0.1]]
    arch += [[-0.38 + 0.5 * t, -0.1 - 0.3 * np.sin(np.pi * t)] for t in np.linspace(0, 1, 16)]
    arch += [[0.12, half], [0.02, half], [0.02, 0.0], [-0.13, -0.2], [-0.28, 0.0], [-0.28, half]]
    canvas.paint(canvas.polygon(arch), tint * 0.6, inside=True)
    strip = (190 + 40 * np.sin(canvas.y * 14))[..., None] * np.ones(3, np.float32)
    canvas.paint(canvas.rect(0.86, 0, 0.14, 2 * half), strip, inside=True)
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    stars = [
        ellipse_points(0.38 + 0.2 * np.cos(t), -0.12 + 0.2 * np.sin(t), 0.035, 0.035, 0, 8)
        for t in turns
    ]
    canvas.paint(canvas.polygons(stars), rgb(235, 205, 80), inside=True)
    canvas.paint(canvas.text(value, -0.74, half - 0.18, 0.22), tint * 0.55, inside=True)
    canvas.paint(canvas.text(value, 0.55, half - 0.2, 0.16), tint * 0.5, inside=True)
    canvas.paint(canvas.rect(-0.72, -half + 0.12, 0.3, 0.1), rgb(40, 70, 150), inside=True)
    _creases(rng, canvas, half)


_BAHT = {
    "20": rgb(110, 165, 105),
    "50": rgb(90, 135, 190),
    "100": rgb(200, 95, 90),
    "500": rgb(150, 105, 170),
    "1000": rgb(172, 150, 122),
}


def draw_thai_banknote(rng: np.random.Generator, canvas: Canvas) -> None:
    """Thai baht: saturated, a large portrait on the right, an emblem at the top left."""
    value = str(rng.choice(list(_BAHT)))
    tint = jitter(rng, _BAHT[value], 8)
    half = _sheet(rng, canvas, tint * 0.65 + 80, rng.uniform(2.0, 2.15))
    canvas.paint(canvas.ellipse(0.0, 0.0, 0.55, half * 0.85), tint * 0.4 + 130, inside=True)
    canvas.paint(canvas.rect(0.97, 0, 0.16, 2 * half), tint * 0.8, inside=True)
    _head(canvas, 0.52, half * 1.02, tint * 0.42, rgb(222, 205, 180) * 0.5 + tint * 0.5)
    emblem = turned(np.array([[-0.13, 0.1], [0, -0.14], [0.13, 0.1]]), 0, -0.78, -half + 0.2)
    canvas.paint(canvas.polygon(emblem), rgb(190, 60, 50), inside=True)
    canvas.paint(canvas.text(value, -0.68, half - 0.16, 0.2), tint * 0.4, inside=True)
    canvas.paint(canvas.strokes(_lines(rng, -0.55, 0.0, -half + 0.12, 3), 0.025), tint * 0.4, True)
    canvas.paint(canvas.rect(-0.28, 0, 0.035, 2 * half), rgb(215, 215, 205), inside=True)
    _creases(rng, canvas, half)


_PESO = {
    "20": rgb(230, 150, 85),
    "50": rgb(215, 100, 95),
    "100": rgb(150, 125, 190),
    "200": rgb(120, 175, 110),
    "500": rgb(220, 200, 95),
    "1000": rgb(110, 150, 205),
}


def draw_philippine_banknote(rng: np.random.Generator, canvas: Canvas) -> None:
    """Philippine peso: long, pale middle, a portrait on the left, a sun and blocks of tint."""
    value = str(rng.choice(list(_PESO)))
    tint = jitter(rng, _PESO[value], 8)
    half = _sheet(rng, canvas, tint * 0.35 + 155, rng.uniform(2.38, 2.5))
    canvas.paint(canvas.rect(-0.62, 0, 0.76, 2 * half), tint, inside=True)
    canvas.paint(canvas.rect(0.9, 0, 0.2, 2 * half), tint, inside=True)
    _head(canvas, -0.5, half * 1.0, tint * 0.45, rgb(225, 205, 175))
    rays = []
    for turn in np.arange(0, 360, 45):
        rays.append(turned(np.array([[0, -0.03], [0.2, 0.0], [0, 0.03]]), float(turn), 0.3, 0.0))
    canvas.paint(canvas.polygons(rays), tint * 0.75, inside=True)
    canvas.paint(canvas.text(value, 0.62, half - 0.15, 0.18), tint * 0.45, inside=True)
    canvas.paint(canvas.text(value, -0.86, -half + 0.13, 0.15), tint * 0.3, inside=True)
    canvas.paint(canvas.strokes(_lines(rng, 0.0, 0.6, -half + 0.1, 2), 0.03), tint * 0.45, True)
    _creases(rng, canvas, half)
