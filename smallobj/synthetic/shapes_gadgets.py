"""Drawings of SD card, webcam, OTP token, calculator, battery, necklace and tie pin."""

from __future__ import annotations

import numpy as np

from smallobj.synthetic.canvas import (
    Canvas,
    FloatArray,
    ellipse_points,
    jitter,
    pick,
    rect_points,
    rgb,
)

_PLASTIC = (rgb(34, 34, 38), rgb(60, 62, 68), rgb(208, 208, 206), rgb(150, 152, 156))
_GOLD = rgb(214, 170, 84)
_SILVER = rgb(196, 198, 202)


def _lcd(rng: np.random.Generator) -> FloatArray:
    return pick(rng, [rgb(160, 172, 140), rgb(178, 186, 172), rgb(140, 156, 138)], 8)


def draw_sd_card(rng: np.random.Generator, canvas: Canvas) -> None:
    """A card with one corner cut off, from the front (label) or the back (gold contacts)."""
    half = 0.76
    outline = [[-half, -0.98], [0.36, -0.98], [half, -0.62], [half, 0.98], [-half, 0.98]]
    body = canvas.polygon(outline)
    canvas.paint(body, pick(rng, [rgb(30, 32, 38), rgb(28, 52, 110), rgb(216, 216, 214)], 8))
    if rng.random() < 0.65:
        colours = [rgb(200, 36, 40), rgb(36, 96, 190), rgb(240, 200, 50), rgb(240, 240, 238)]
        label = canvas.rect(0, 0.2, 1.24, 1.3, 0.05)
        colour = pick(rng, [*colours, rgb(46, 150, 90)])
        canvas.paint(label, colour, inside=True)
        canvas.paint(canvas.rect(0, 0.62, 1.24, 0.4), colour * 0.5, inside=True)
        ink = rgb(20, 20, 24) if colour.mean() > 130 else rgb(245, 245, 245)
        capacity = str(rng.choice(["8", "16", "32", "64", "128"]))
        canvas.paint(canvas.text(capacity, -0.1, 0.12, 0.36), ink, inside=True)
        canvas.paint(canvas.text("SD", 0.1, 0.62, 0.2), rgb(240, 240, 240), inside=True)
    else:
        for x in np.linspace(-0.58, 0.42, 8):
            top = -0.76 if x < 0.3 else -0.6
            canvas.paint(canvas.rect(x, top + 0.17, 0.09, 0.36, 0.02), jitter(rng, _GOLD), True)
        canvas.paint(canvas.rect(0, 0.45, 1.1, 0.5), rgb(90, 92, 98), inside=True)
    canvas.paint(canvas.rect(-half, -0.3, 0.1, 0.28), rgb(225, 225, 220), inside=True)
    canvas.relief(canvas.bevel(body, 0.06), gloss=rng.uniform(0.0, 0.15))
    canvas.wear(rng, 0.06)


def _lens(rng: np.random.Generator, canvas: Canvas, x: float, y: float, radius: float) -> None:
    ring = canvas.ellipse(x, y, radius)
    canvas.paint(ring, pick(rng, [rgb(150, 152, 156), rgb(40, 40, 44)], 8))
    canvas.relief(canvas.bevel(ring, radius * 0.3), ring, gloss=0.3)
    canvas.paint(canvas.ellipse(x, y, radius * 0.78), rgb(12, 12, 16))
    tint = pick(rng, [rgb(70, 44, 110), rgb(40, 80, 110), rgb(60, 90, 70)], 10)
    canvas.paint(canvas.ellipse(x, y, radius * 0.52), tint)
    canvas.paint(canvas.ellipse(x, y, radius * 0.28), rgb(8, 8, 10))
    lx, ly = float(canvas.light[0]), float(canvas.light[1])
    spot = canvas.ellipse(x + 0.35 * radius * lx, y + 0.35 * radius * ly, radius * 0.14)
    canvas.paint(spot, rgb(245, 248, 255))


def draw_webcam(rng: np.random.Generator, canvas: Canvas) -> None:
    """A round or bar-shaped head with a big lens, on a clip with a short piece of cable."""
    plastic = pick(rng, _PLASTIC, 8)
    foot_y = rng.uniform(0.78, 0.9)
    cable = np.stack([np.linspace(0.1, 0.9, 12), foot_y + 0.1 * np.sin(np.linspace(0, 4, 12))], 1)
    canvas.paint(canvas.stroke(cable, 0.07), plastic * 0.6)
    clip = canvas.polygon(
        [[-0.2, 0.1], [0.2, 0.1], [0.5, foot_y], [0.4, 0.98], [-0.5, 0.98], [-0.5, foot_y]]
    )
    canvas.paint(clip, plastic * 0.8)
    canvas.relief(canvas.bevel(clip, 0.12), clip)
    if rng.random() < 0.5:
        head = canvas.ellipse(0, -0.28, 0.7)
        canvas.paint(head, plastic)
        canvas.relief(canvas.bevel(head, 0.6), head, gloss=0.3)
        _lens(rng, canvas, 0, -0.28, rng.uniform(0.36, 0.46))
    else:
        head = canvas.rect(0, -0.3, 1.98, 0.66, 0.3)
        canvas.paint(head, plastic)
        canvas.relief(canvas.bevel(head, 0.25), head, gloss=0.25)
        _lens(rng, canvas, 0, -0.3, rng.uniform(0.26, 0.31))
        for x in (-0.6, 0.6):
            dots = [ellipse_points(x + dx, -0.3, 0.03, 0.12, 0, 10) for dx in (-0.1, 0.0, 0.1)]
            canvas.paint(canvas.polygons(dots), plastic * 0.45, inside=True)
    canvas.paint(canvas.ellipse(0.42, -0.5, 0.04), rgb(70, 200, 240), inside=True)
    canvas.wear(rng, 0.06)


def draw_otp_token(rng: np.random.Generator, canvas: Canvas) -> None:
    """A key fob with a six-digit display, one button and a hole for the key ring."""
    colours = [rgb(200, 204, 208), rgb(52, 84, 140), rgb(60, 62, 68), rgb(232, 232, 230)]
    plastic = pick(rng, colours, 8)
    half = rng.uniform(0.38, 0.46)
    body = canvas.rect(0.08, 0, 1.8, 2 * half, half * rng.uniform(0.6, 1.0))
    eye = canvas.ellipse(-0.78, 0, 0.2)
    canvas.paint(np.maximum(body, eye), plastic)
    canvas.cut(canvas.ellipse(-0.83, 0, 0.09))
    canvas.relief(canvas.bevel(canvas.alpha, 0.16), gloss=0.25)
    canvas.paint(canvas.rect(0.0, 0, 0.98, half * 1.08, 0.06), plastic * 0.5, inside=True)
    canvas.paint(canvas.rect(0.0, 0, 0.9, half * 0.9, 0.03), _lcd(rng), inside=True)
    digits = "".join(str(d) for d in rng.integers(0, 10, 6))
    canvas.paint(canvas.text(digits, 0.0, 0, half * 0.5, 0.14, 0.8), rgb(30, 36, 32), inside=True)
    button = pick(rng, [rgb(210, 60, 50), rgb(240, 150, 40), rgb(60, 120, 200), rgb(120, 120, 124)])
    canvas.paint(canvas.ellipse(0.72, 0, 0.15, half * 0.42), button, inside=True)
    canvas.wear(rng, 0.06)


def draw_calculator(rng: np.random.Generator, canvas: Canvas) -> None:
    """A display, a solar strip and a grid of keys with a coloured column."""
    half = rng.uniform(0.6, 0.74)
    case = pick(rng, [*_PLASTIC, rgb(90, 120, 160), rgb(190, 150, 150)], 8)
    body = canvas.rect(0, 0, 2 * half, 1.98, 0.1)
    canvas.paint(body, case)
    canvas.relief(canvas.bevel(body, 0.08), gloss=0.15)
    canvas.paint(canvas.rect(half * 0.35, -0.86, half * 0.9, 0.12), rgb(54, 34, 34), inside=True)
    canvas.paint(canvas.rect(0, -0.6, 1.7 * half, 0.32, 0.03), _lcd(rng), inside=True)
    number = str(rng.integers(0, 10**6))
    canvas.paint(
        canvas.text(number, half * 0.2, -0.6, 0.17, 0.14, 1.2 * half), rgb(30, 34, 30), inside=True
    )
    columns, rows = int(rng.integers(4, 6)), int(rng.integers(4, 6))
    dark_case = case.mean() < 120
    key = rgb(226, 226, 222) if dark_case or rng.random() < 0.2 else rgb(48, 50, 56)
    accent = pick(rng, [rgb(220, 90, 50), rgb(60, 110, 190), rgb(110, 112, 118)])
    plain: list[FloatArray] = []
    special: list[FloatArray] = []
    for column in range(columns):
        for row in range(rows):
            x = (column - (columns - 1) / 2) * 1.76 * half / columns
            y = -0.22 + row * 1.12 / (rows - 1)
            shape = rect_points(x, y, 1.3 * half / columns, 0.74 * 1.3 / rows, 0.04)
            (special if column == columns - 1 or row == 0 else plain).append(shape)
    for shapes, colour in ((plain, key), (special, accent)):
        mask = canvas.polygons(shapes)
        canvas.paint(mask, colour, inside=True)
        canvas.relief(canvas.bevel(mask, 0.04), mask)
    canvas.wear(rng, 0.05)


def draw_battery(rng: np.random.Generator, canvas: Canvas) -> None:
    """A cylinder in two colours with a positive pole, or a 9 V block with two snap contacts."""
    band = pick(rng, [rgb(200, 130, 60), rgb(36, 36, 40), rgb(40, 90, 170), rgb(50, 140, 70)])
    body_colour = pick(
        rng, [rgb(30, 30, 34), rgb(220, 190, 60), rgb(190, 40, 44), rgb(210, 212, 214)]
    )
    steel = jitter(rng, _SILVER, 6)
    block = rng.random() < 0.2
    half = rng.uniform(0.5, 0.56) if block else rng.uniform(0.27, 0.36)
    end = 0.84 if block else 0.88
    if block:
        canvas.paint(canvas.rect(0.9, -0.25, 0.18, 0.26, 0.03), steel)
        canvas.paint(canvas.rect(0.9, 0.25, 0.18, 0.32, 0.03), steel)
    else:
        canvas.paint(canvas.rect(0.92, 0, 0.16, half * 0.7, 0.03), steel)
    body = canvas.rect((end - 1) / 2, 0, 1 + end, 2 * half, 0.05)
    canvas.paint(body, body_colour)
    canvas.paint(canvas.rect(0.62, 0, 0.6, 2 * half), band, inside=True)
    for x in (-0.98, end - 0.01):
        canvas.paint(canvas.rect(x, 0, 0.07, 2 * half), steel, inside=True)
    ink = rgb(240, 240, 240) if body_colour.mean() < 140 else rgb(30, 30, 30)
    word = str(rng.choice(["AA", "AAA", "1.5V", "LR6"])) if not block else "9V"
    canvas.paint(canvas.text(word, -0.25, 0, half * 0.8), ink, inside=True)
    canvas.paint(canvas.text("+", 0.62, 0, half * 0.7), rgb(240, 240, 240), inside=True)
    if block:
        canvas.relief(canvas.bevel(body, 0.1), gloss=0.2)
    else:
        ratio = np.clip(canvas.y / half, -0.97, 0.97)
        canvas.relief((half * np.sqrt(1 - ratio**2)).astype(np.float32), gloss=0.45, shine=18)
    canvas.wear(rng, 0.05)


def _loop(rng: np.random.Generator) -> FloatArray:
    """A closed, irregular curve, points (240, 2) in [-0.93, 0.93]."""
    turn = np.linspace(0, 2 * np.pi, 240)
    wave = sum(
        rng.uniform(-0.08, 0.08) * np.cos(k * turn + rng.uniform(0, 6)) for k in (2, 3, 4, 5)
    )
    drop = 0.6 + 0.3 * np.sin(turn)
    x = rng.uniform(0.7, 0.95) * (0.95 + wave) * np.cos(turn) * np.sqrt(1.35 - drop * 0.8)
    y = -0.16 + (0.8 + wave) * np.sin(turn)
    return np.clip(np.stack([x, y], 1), -0.93, 0.93).astype(np.float32)


def draw_necklace(rng: np.random.Generator, canvas: Canvas) -> None:
    """A loop of chain or beads with a pendant."""
    metal = pick(rng, [_GOLD, _SILVER, rgb(206, 150, 120)], 10)
    path = _loop(rng)
    links = int(rng.integers(44, 70))
    points = path[np.linspace(0, len(path) - 1, links).astype(int)]
    size = rng.uniform(0.045, 0.062)
    pearls = rng.random() < 0.25
    canvas.paint(canvas.stroke(path, size * 1.1, closed=True), metal * 0.75)
    radius = size * (1.15 if pearls else 0.95)
    chain = canvas.polygons([ellipse_points(x, y, radius, radius, 0, 12) for x, y in points])
    canvas.paint(chain, jitter(rng, rgb(232, 226, 216), 6) if pearls else metal)
    low = path[int(np.argmax(path[:, 1]))]
    x, y = float(low[0]), min(float(low[1]) + 0.13, 0.78)
    size = rng.uniform(0.15, 0.2)
    shape = int(rng.integers(3))
    if shape == 0:
        pendant = canvas.ellipse(x, y, size, size * 1.2)
    elif shape == 1:
        pendant = canvas.polygon(
            [[x, y - size], [x + size, y], [x, y + 1.15 * size], [x - size, y]]
        )
    else:
        lobes = [
            ellipse_points(x + s * size * 0.5, y - size * 0.3, size * 0.6, size * 0.6)
            for s in (-1, 1)
        ]
        tip = np.array(
            [[x - size, y - 0.1 * size], [x + size, y - 0.1 * size], [x, y + 1.1 * size]]
        )
        pendant = canvas.polygons([*lobes, tip])
    canvas.paint(pendant, metal)
    gem = pick(rng, [rgb(190, 30, 60), rgb(40, 90, 190), rgb(40, 150, 90), rgb(225, 235, 240)])
    canvas.paint(canvas.ellipse(x, y, size * 0.5), gem)
    canvas.relief(canvas.bevel(canvas.alpha, 0.05), gloss=0.5, shine=12)


def draw_tie_pin(rng: np.random.Generator, canvas: Canvas) -> None:
    """A slim metal clip: a bar with bevelled ends, the spring at one end, a stripe or a stone."""
    metal = pick(rng, [_GOLD, _SILVER, rgb(90, 92, 98), rgb(206, 150, 120)], 10)
    half = rng.uniform(0.085, 0.125)
    slant = rng.uniform(0, 0.1)
    under = canvas.rect(0.08, half * 0.75, 1.7, half * 0.9, 0.03)
    canvas.paint(under, metal * 0.55)
    bar = canvas.polygon(
        [[-0.98, -half], [0.98 - slant, -half], [0.98, half], [-0.98 + slant / 2, half]]
    )
    canvas.paint(bar, metal)
    streak = 1 + 0.25 * np.sin(canvas.x * rng.uniform(2, 5) + rng.uniform(0, 6))
    canvas.shade(streak.astype(np.float32), bar)
    style = int(rng.integers(3))
    if style == 0:
        canvas.paint(canvas.rect(0, 0, 1.7, half * 0.5), metal * 0.45, inside=True)
    elif style == 1:
        lines = [np.array([[x, -half], [x + 0.08, half]]) for x in np.linspace(0.2, 0.8, 6)]
        canvas.paint(canvas.strokes(lines, 0.03), metal * 0.5, inside=True)
    else:
        gem = pick(rng, [rgb(30, 40, 110), rgb(20, 20, 24), rgb(225, 235, 240), rgb(170, 30, 50)])
        canvas.paint(canvas.rect(rng.uniform(-0.2, 0.6), 0, 0.28, half * 1.5, 0.03), gem, True)
    spring = canvas.rect(-0.9, half * 0.5, 0.18, half * 2.4, 0.05)
    canvas.paint(spring, metal * 0.85)
    canvas.relief(canvas.bevel(np.maximum(bar, spring), 0.06), gloss=0.45, shine=14)
