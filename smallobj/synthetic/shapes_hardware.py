"""Drawings of tape measure, hammer, tacker, nail, wood screw, bolt, nut and bearing."""

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

_STEEL = (rgb(176, 178, 182), rgb(150, 152, 158), rgb(196, 194, 188), rgb(120, 120, 124))
_ZINC = (*_STEEL, rgb(196, 170, 104), rgb(70, 70, 74))
_BRIGHT = (
    rgb(240, 190, 40),
    rgb(206, 50, 44),
    rgb(40, 100, 180),
    rgb(240, 120, 40),
    rgb(70, 150, 80),
)


def _rod(canvas: Canvas, half: FloatArray | float) -> FloatArray:
    """Height map of a round bar along x of half width `half`."""
    ratio = np.clip(canvas.y / half, -0.96, 0.96)
    return (half * np.sqrt(1 - ratio**2)).astype(np.float32)


def draw_tape_measure(rng: np.random.Generator, canvas: Canvas) -> None:
    """A rounded case with a disc, a grip and the yellow tape with its hook."""
    case = pick(rng, [*_BRIGHT, rgb(50, 50, 54)], 8)
    grip = pick(rng, [rgb(40, 40, 44), rgb(90, 92, 96)], 6)
    canvas.paint(canvas.rect(0.62, 0.74, 0.76, 0.1), jitter(rng, rgb(240, 210, 70), 6))
    ticks = [np.array([[x, 0.74], [x, 0.8]]) for x in np.linspace(0.62, 0.94, 8)]
    canvas.paint(canvas.strokes(ticks, 0.02), rgb(30, 30, 30), inside=True)
    canvas.paint(canvas.rect(0.98, 0.79, 0.05, 0.24), rgb(190, 192, 196))
    outline = [
        [-0.9, 0.84],
        [-0.96, -0.2],
        [-0.7, -0.76],
        [-0.1, -0.86],
        [0.4, -0.7],
        [0.66, -0.2],
        [0.7, 0.84],
    ]
    body = canvas.polygon(outline)
    canvas.paint(body, case)
    canvas.paint(canvas.stroke(outline[:5], 0.24), grip, inside=True)
    canvas.relief(canvas.bevel(body, 0.22), body, gloss=0.25)
    disc = canvas.ellipse(-0.14, 0.04, rng.uniform(0.4, 0.5))
    canvas.paint(disc, pick(rng, [rgb(232, 232, 228), rgb(40, 40, 44), rgb(196, 198, 202)], 6))
    canvas.paint(canvas.ellipse(-0.14, 0.04, 0.3), case * 0.75 + 40)
    canvas.paint(
        canvas.text(str(rng.choice(["3m", "5m", "7.5"])), -0.14, 0.04, 0.22), rgb(25, 25, 28)
    )
    canvas.relief(canvas.bevel(disc, 0.06), disc)
    canvas.wear(rng, 0.08)


def draw_hammer(rng: np.random.Generator, canvas: Canvas) -> None:
    """A wooden or rubber handle along x and a steel head with face and claw."""
    wood = rng.random() < 0.6
    handle_colour = (
        pick(rng, [rgb(190, 146, 92), rgb(166, 116, 68)], 10) if wood else pick(rng, _BRIGHT)
    )
    half = rng.uniform(0.075, 0.1)
    handle = canvas.polygon(
        [
            [-0.98, -half * 1.2],
            [-0.5, -half * 1.3],
            [0.1, -half * 0.8],
            [0.8, -half * 0.8],
            [0.8, half * 0.8],
            [0.1, half * 0.8],
            [-0.5, half * 1.3],
            [-0.98, half * 1.2],
        ]
    )
    canvas.paint(handle, handle_colour)
    if not wood:
        canvas.paint(canvas.rect(-0.62, 0, 0.74, 0.4), rgb(36, 36, 40), inside=True)
    canvas.relief(_rod(canvas, half * 1.35), handle, gloss=0.12)
    steel = pick(rng, _STEEL, 8)
    reach = rng.uniform(0.42, 0.52)
    head = canvas.polygons(
        [
            rect_points(0.78, 0.0, 0.26, 0.36, 0.03),
            np.array([[0.7, 0.1], [0.88, 0.1], [0.86, reach - 0.1], [0.72, reach - 0.1]]),
            rect_points(0.79, reach - 0.02, 0.3, 0.2, 0.04),
            np.array(
                [
                    [0.68, -0.14],
                    [0.9, -0.14],
                    [0.82, -0.36],
                    [0.6, -reach - 0.1],
                    [0.5, -reach - 0.06],
                    [0.66, -0.34],
                ]
            ),
        ]
    )
    canvas.paint(head, steel)
    canvas.relief(canvas.bevel(head, 0.12), head, gloss=0.35, shine=16)
    canvas.wear(rng, 0.1)


def draw_nail(rng: np.random.Generator, canvas: Canvas) -> None:
    """A plain shank with a flat head and a point; sometimes bent or rusty."""
    colour = pick(rng, [*_STEEL, rgb(128, 84, 58)], 8)
    half = rng.uniform(0.042, 0.056)
    bend = rng.uniform(-0.12, 0.12) if rng.random() < 0.3 else 0.0
    along = np.linspace(-0.94, 0.84, 30)
    drift = bend * along**2
    upper, lower = np.stack([along, drift - half], 1), np.stack([along, drift + half], 1)
    shank = canvas.polygon(np.concatenate([upper, [[0.99, bend * 0.95]], lower[::-1]]))
    head = canvas.rect(-0.95, bend * 0.9, 0.075, half * rng.uniform(4.2, 5.4), 0.02)
    canvas.paint(np.maximum(shank, head), colour)
    ratio = np.clip((canvas.y - bend * canvas.x**2) / half, -0.96, 0.96)
    canvas.relief((half * np.sqrt(1 - ratio**2)).astype(np.float32), shank, gloss=0.4, shine=14)
    canvas.wear(rng, 0.1)


def _threads(canvas: Canvas, left: float, right: float, pitch: float) -> FloatArray:
    """Shading of a thread between x = left and x = right: a slanted sawtooth in [-1, 1]."""
    wave = np.sin(2 * np.pi * (canvas.x + 0.25 * canvas.y) / pitch)
    inside = (canvas.x > left) & (canvas.x < right)
    return (wave * inside).astype(np.float32)


def draw_wood_screw(rng: np.random.Generator, canvas: Canvas) -> None:
    """A countersunk head, a bare neck and a coarse thread that tapers to a point."""
    colour = pick(rng, _ZINC, 8)
    half, pitch = rng.uniform(0.085, 0.11), rng.uniform(0.1, 0.13)
    head = half * rng.uniform(2.1, 2.5)
    along = np.linspace(-0.4, 0.96, 120)
    core = half * np.interp(along, [-0.4, 0.5, 0.96], [0.8, 0.7, 0.06])
    crest = half * np.interp(along, [-0.4, 0.5, 0.98], [1.25, 1.15, 0.1])
    tooth = np.abs(((along / pitch) % 1) * 2 - 1)
    width = core + (crest - core) * tooth
    shift = ((along / pitch + 0.5) % 1) * 2 - 1
    lower = core + (crest - core) * np.abs(shift)
    neck_up = [[-0.98, -head], [-0.92, -head], [-0.72, -half * 0.85], [-0.4, -half * 0.85]]
    neck_down = [[-0.4, half * 0.85], [-0.72, half * 0.85], [-0.92, head], [-0.98, head]]
    outline = np.concatenate(
        [neck_up, np.stack([along, -width], 1), np.stack([along, lower], 1)[::-1], neck_down]
    )
    body = canvas.polygon(outline)
    canvas.paint(body, colour)
    threads = _threads(canvas, -0.4, 1.0, pitch)
    canvas.shade((1 + 0.4 * threads).astype(np.float32))
    taper = np.interp(canvas.x[0], [-0.92, -0.72, 0.5, 1.0], [head, half, half, 0.03])
    ratio = np.clip(canvas.y / taper.astype(np.float32), -0.94, 0.94)
    height = taper * np.sqrt(1 - ratio**2)
    canvas.relief(height.astype(np.float32), gloss=0.4, shine=12)
    canvas.wear(rng, 0.06)


def draw_bolt(rng: np.random.Generator, canvas: Canvas) -> None:
    """A hexagonal head seen from the side and a stout, evenly threaded shank, cut square."""
    colour = pick(rng, _ZINC, 8)
    half = rng.uniform(0.17, 0.23)
    head = half * rng.uniform(1.75, 2.0)
    depth = rng.uniform(0.24, 0.34)
    smooth = rng.uniform(-0.6, 0.1)
    neck = depth - 1.0
    shank = canvas.polygon(
        [
            [neck, -half],
            [0.92, -half],
            [0.99, -half * 0.75],
            [0.99, half * 0.75],
            [0.92, half],
            [neck, half],
        ]
    )
    canvas.paint(shank, colour)
    canvas.shade(
        (1 + 0.38 * _threads(canvas, smooth, 1.0, rng.uniform(0.07, 0.1))).astype(np.float32)
    )
    canvas.relief(_rod(canvas, half), shank, gloss=0.4, shine=14)
    if rng.random() < 0.4:
        flange = canvas.rect(neck, 0, 0.07, head * 2.3, 0.02)
        canvas.paint(flange, colour * 0.9)
    block = canvas.rect(-1 + depth / 2, 0, depth, 2 * head, 0.04)
    canvas.paint(block, colour)
    split = head * 0.48
    facets = np.where(canvas.y < -split, 1.0, np.where(canvas.y > split, -1.0, 0.0))
    canvas.shade((1 - 0.3 * facets * float(canvas.light[1]) + 0.06).astype(np.float32), block)
    edges = [np.array([[-1.0, y], [neck, y]]) for y in (-split, split)]
    canvas.paint(canvas.strokes(edges, 0.02), colour * 0.55, inside=True)
    canvas.relief(canvas.bevel(block, 0.05), block, gloss=0.2)
    canvas.wear(rng, 0.08)


def draw_nut(rng: np.random.Generator, canvas: Canvas) -> None:
    """A hexagon from above with a threaded hole."""
    colour = pick(rng, _ZINC, 8)
    turn = np.arange(6) * np.pi / 3
    body = canvas.polygon(np.stack([np.cos(turn), np.sin(turn)], 1))
    canvas.paint(body, colour)
    hole = rng.uniform(0.44, 0.54)
    chamfer = canvas.ellipse(0, 0, 0.86)
    canvas.shade(np.full_like(body, 0.82), body * (1 - chamfer))
    canvas.relief(canvas.bevel(body, 0.1) + 0.3 * canvas.bevel(chamfer, 0.1), gloss=0.3)
    canvas.paint(canvas.ellipse(0, 0, hole + 0.1), colour * 0.5, inside=True)
    canvas.paint(canvas.ellipse(0, 0, hole + 0.05), colour * 0.85, inside=True)
    canvas.cut(canvas.ellipse(0, 0, hole))
    canvas.wear(rng, 0.1)


def draw_tacker(rng: np.random.Generator, canvas: Canvas) -> None:
    """A staple gun from the side: a steel body with a nose, a squeeze handle above it."""
    body_colour = pick(rng, [*_BRIGHT, *_STEEL[:3]], 8)
    lever_colour = pick(rng, [rgb(40, 40, 44), rgb(196, 198, 202), rgb(206, 50, 44)], 8)
    base = canvas.polygon(
        [
            [-0.96, 0.5],
            [0.8, 0.5],
            [0.96, 0.5],
            [0.96, -0.3],
            [0.82, -0.46],
            [0.45, -0.46],
            [0.3, -0.1],
            [-0.3, 0.02],
            [-0.96, 0.1],
        ]
    )
    canvas.paint(base, body_colour)
    canvas.paint(canvas.rect(0.0, 0.45, 1.9, 0.12), rgb(150, 152, 156), inside=True)
    canvas.paint(canvas.rect(0.9, 0.0, 0.14, 1.1), rgb(170, 172, 176), inside=True)
    slot = canvas.rect(-0.3, 0.24, 0.9, 0.14, 0.06)
    canvas.cut(slot)
    canvas.relief(canvas.bevel(canvas.alpha, 0.1), gloss=0.25)
    lift = rng.uniform(0.0, 0.16)
    lever = canvas.polygon(
        [
            [0.62, -0.46],
            [0.5, -0.62],
            [0.1, -0.56 - lift],
            [-0.86, -0.3 - lift],
            [-0.92, -0.14 - lift],
            [-0.8, -0.1 - lift],
            [0.05, -0.36 - lift * 0.7],
            [0.48, -0.28],
        ]
    )
    canvas.paint(lever, lever_colour)
    canvas.relief(canvas.bevel(lever, 0.08), lever, gloss=0.25)
    canvas.paint(canvas.ellipse(0.55, -0.4, 0.07), rgb(200, 200, 204), inside=True)
    canvas.paint(
        canvas.text(str(rng.choice(["R-13", "T50", "PRO"])), 0.48, 0.2, 0.15, 0.16, 0.5),
        rgb(30, 30, 32),
        True,
    )
    canvas.wear(rng, 0.08)


def draw_bearing(rng: np.random.Generator, canvas: Canvas) -> None:
    """Two races with balls or a shield between them, and an open bore."""
    colour = pick(rng, _STEEL, 8)
    canvas.paint(canvas.ellipse(0, 0, 0.99), colour)
    bore = rng.uniform(0.3, 0.42)
    outer, inner = rng.uniform(0.78, 0.84), bore + rng.uniform(0.14, 0.19)
    gap = np.maximum(canvas.ellipse(0, 0, outer) - canvas.ellipse(0, 0, inner), 0)
    sealed = rng.random() < 0.35
    shield = pick(rng, [rgb(30, 30, 34), rgb(150, 60, 50), rgb(140, 142, 146)], 8)
    canvas.paint(gap, shield if sealed else rgb(46, 42, 40), inside=True)
    height = canvas.bevel(canvas.alpha * (1 - gap), 0.05)
    if not sealed:
        count = int(rng.integers(7, 11))
        turns = np.arange(count) * 2 * np.pi / count + rng.uniform(0, 1)
        middle, radius = (outer + inner) / 2, (outer - inner) / 2 * 0.95
        balls = canvas.polygons(
            [
                ellipse_points(middle * np.cos(t), middle * np.sin(t), radius, radius, 0, 20)
                for t in turns
            ]
        )
        canvas.paint(balls, rgb(206, 208, 212), inside=True)
        height = height + canvas.bevel(balls, radius)
    canvas.relief(height.astype(np.float32), gloss=0.45, shine=14)
    canvas.cut(canvas.ellipse(0, 0, bore))
    angle = np.arctan2(canvas.y, canvas.x)
    canvas.shade((1 + 0.2 * np.cos(2 * angle + rng.uniform(0, 6))).astype(np.float32))
    canvas.wear(rng, 0.06)
