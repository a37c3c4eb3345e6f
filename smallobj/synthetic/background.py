"""Textured backgrounds of the synthetic dataset: wood, weave, concrete, grass, paper and more.

A background is a grey texture, uint8 (h, w), mapped through a palette of 256 colours. Large
structure is computed at a fraction of the resolution. Fine grain is one tile at native resolution,
repeated. So a 2800x2100 background takes about 0.1 s on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from smallobj.synthetic.canvas import FloatArray, jitter, rgb, smooth_noise

Grey = NDArray[np.uint8]
Image = NDArray[np.uint8]
_Random = np.random.Generator


def _palette(rng: _Random, colours: Sequence[FloatArray]) -> NDArray[np.uint8]:
    """256 colours, (256, 1, 3) BGR, interpolated between `colours` with a common random shift."""
    shift = rng.normal(0, 9, 3).astype(np.float32)
    bright = rng.uniform(0.8, 1.12)
    knots = np.stack([jitter(rng, c, 5) * bright + shift for c in colours])
    places = np.linspace(0, 255, len(knots))
    table = np.stack([np.interp(np.arange(256), places, knots[:, k]) for k in range(3)], 1)
    return np.clip(table, 0, 255).astype(np.uint8)[:, None]


def _dye(rng: _Random, low: float, high: float) -> FloatArray:
    """A random colour of any hue, usually of low saturation, as on floors and cloths."""
    value = rng.uniform(low, high)
    chroma = rng.beta(1.2, 3.0)
    hue = rng.dirichlet((1.0, 1.0, 1.0)) * 3 - 1
    return np.clip(value * (1 + 0.8 * chroma * hue), 15, 245).astype(np.float32)


def _grey(field: FloatArray, gain: float = 1.0) -> Grey:
    """Maps [-1, 1] to uint8, centred on 128."""
    return np.clip(field * np.float32(110 * gain) + np.float32(128), 0, 255).astype(np.uint8)


def _coarse(rng: _Random, h: int, w: int, cells: Sequence[float], step: int = 4) -> FloatArray:
    """Sum of octaves of smooth noise at 1/step of the resolution, about [-1, 1]."""
    rows, columns = max(h // step, 8), max(w // step, 8)
    total = np.zeros((rows, columns), np.float32)
    weight = 1.0
    for count in cells:
        total += np.float32(weight) * smooth_noise(rng, rows, columns, count)
        weight *= 0.6
    return total


def _enlarge(small: Grey, h: int, w: int) -> Grey:
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _spread(tile: Grey, h: int, w: int) -> Grey:
    """Repeats a tile to fill (h, w)."""
    rows, columns = -(-h // tile.shape[0]), -(-w // tile.shape[1])
    return np.ascontiguousarray(np.tile(tile, (rows, columns))[:h, :w])


def _grain(rng: _Random, sigma_x: float, sigma_y: float, side: int = 512) -> FloatArray:
    """A seamless tile of noise, unit variance, blurred by Gaussians of the given sigmas in px."""
    noise = rng.standard_normal((side, side), dtype=np.float32)
    pad = int(4 * max(sigma_x, sigma_y)) + 2
    wrapped = np.pad(noise, pad, mode="wrap")
    if sigma_x > 0 or sigma_y > 0:
        sigmas = max(sigma_x, 0.01), max(sigma_y, 0.01)
        wrapped = np.asarray(cv2.GaussianBlur(wrapped, (0, 0), sigmas[0], sigmaY=sigmas[1]))
    tile = wrapped[pad:-pad, pad:-pad]
    return (tile / tile.std()).astype(np.float32)


def _mix(a: Grey, b: Grey, wa: float, wb: float) -> Grey:
    """wa (a - 128) + wb (b - 128) + 128, saturated."""
    return cv2.addWeighted(a, wa, b, wb, 128 * (1 - wa - wb)).astype(np.uint8)


def _cells(rng: _Random, count: int, side: int = 512) -> tuple[FloatArray, NDArray[np.int32]]:
    """A seamless cell pattern of `count` points: distance to the nearest point, and its id."""
    points = rng.integers(0, side, (count, 2))
    wide = np.full((2 * side, 2 * side), 255, np.uint8)
    half = side // 2
    for dy in (-side, 0, side):
        for dx in (-side, 0, side):
            y, x = points[:, 0] + dy + half, points[:, 1] + dx + half
            keep = (y >= 0) & (y < 2 * side) & (x >= 0) & (x < 2 * side)
            wide[y[keep], x[keep]] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        wide, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    window = slice(half, half + side)
    # Copies of a point across the seam must share a label, so a cell's id is its point's position.
    ys, xs = np.nonzero(wide == 0)
    name = np.zeros(int(labels.max()) + 1, np.int32)
    name[labels[ys, xs]] = ((ys - half) % side) * side + (xs - half) % side
    return distance[window, window].astype(np.float32), name[labels[window, window]]


def _wood(rng: _Random, h: int, w: int) -> Image:
    rows, columns = h // 2 + 1, w // 2 + 1
    y = np.linspace(0, h / 100, rows, dtype=np.float32)[:, None]
    # Noise on a square, stretched along the grain: the rings are long and bend slowly.
    bend = smooth_noise(rng, 128, 128, rng.uniform(2, 6))[:, : int(rng.integers(16, 64))]
    long_bend = cv2.resize(bend, (columns, rows), interpolation=cv2.INTER_LINEAR)
    rings = np.sin((y * rng.uniform(0.4, 1.2) + long_bend * rng.uniform(0.5, 2)) * 6.0)
    rings = rings * np.float32(rng.uniform(0.25, 0.9))
    plank = max(8, int(rng.uniform(90, 260)))
    if rng.random() < 0.6:
        tones = rng.uniform(-0.5, 0.5, rows // plank + 2).astype(np.float32)
        index = np.arange(rows) // plank
        rings = rings * 0.5 + tones[index][:, None]
        rings[np.arange(rows) % plank < 2] = -1.4
    base = _enlarge(_grey(rings.astype(np.float32), 0.5), h, w)
    streaks = _spread(_grey(_grain(rng, 30, rng.uniform(0.6, 1.2)), 0.3), h, w)
    mixed = _mix(base, streaks, 0.9, rng.uniform(0.5, 1.0))
    woods = [
        (rgb(92, 58, 34), rgb(158, 110, 68), rgb(196, 150, 102)),
        (rgb(60, 40, 28), rgb(98, 66, 44), rgb(128, 92, 64)),
        (rgb(168, 136, 98), rgb(208, 180, 142), rgb(228, 206, 172)),
        (rgb(100, 96, 92), rgb(140, 134, 128), rgb(176, 170, 162)),
    ]
    image = cv2.applyColorMap(mixed, _palette(rng, woods[int(rng.integers(len(woods)))]))
    return np.asarray(image, np.uint8)


def _weave(rng: _Random, h: int, w: int) -> Image:
    period = int(rng.integers(5, 15))
    side = period * (512 // period)
    axis = np.arange(side, dtype=np.float32) * np.float32(2 * np.pi / period)
    twill = rng.random() < 0.5
    if twill:
        pattern = np.sin(axis[None, :] + axis[:, None]) * 0.8
    else:
        pattern = np.sin(axis[None, :]) * np.sign(np.sin(axis[:, None] / 2 + 0.4))
    threads = 0.4 * _grain(rng, 0.5, 6, side) + 0.4 * _grain(rng, 6, 0.5, side)
    tile = _grey((pattern + threads).astype(np.float32), rng.uniform(0.15, 0.4))
    base = _enlarge(_grey(_coarse(rng, h, w, (3, 7)), 0.3), h, w)
    mixed = _mix(_spread(tile, h, w), base, 1.0, 0.4)
    if rng.random() < 0.4:  # stripes or checks
        width = int(rng.uniform(60, 300))
        stripe = ((np.arange(w) // width) % 2 * 50).astype(np.uint8)
        mixed = cv2.subtract(mixed, np.broadcast_to(stripe, (h, w)).copy()).astype(np.uint8)
        if rng.random() < 0.6:
            check = ((np.arange(h) // width) % 2 * 50).astype(np.uint8)[:, None]
            mixed = cv2.subtract(mixed, np.broadcast_to(check, (h, w)).copy()).astype(np.uint8)
    hue = _dye(rng, 50, 200)
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, (hue * 0.5, hue, hue * 0.5 + 120))))


def _concrete(rng: _Random, h: int, w: int) -> Image:
    base = _enlarge(_grey(_coarse(rng, h, w, (4, 9, 24, 60)), 0.3), h, w)
    grain = 0.5 * _grain(rng, 0.7, 0.7) + 0.5 * _grain(rng, 2.5, 2.5)
    pits = np.where(_grain(rng, 1.5, 1.5) < -2.3, -2.5, 0.0)
    tile = _grey((grain + pits).astype(np.float32), rng.uniform(0.1, 0.25))
    mixed = _mix(base, _spread(tile, h, w), 0.8, 1.0)
    greys = [
        (rgb(90, 88, 84), rgb(150, 148, 144), rgb(192, 190, 186)),
        (rgb(120, 104, 82), rgb(178, 158, 128), rgb(214, 198, 168)),
        (rgb(44, 44, 48), rgb(78, 78, 82), rgb(120, 120, 124)),
    ]
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, greys[int(rng.integers(3))])))


def _grass(rng: _Random, h: int, w: int) -> Image:
    side, margin = 640, 60
    tile = np.full((side + 2 * margin,) * 2, 60, np.uint8)
    count = int(rng.uniform(2500, 5000))
    starts = rng.uniform(0, side, (count, 2))
    lengths, turns = rng.uniform(12, 45, count), rng.uniform(0, 2 * np.pi, count)
    tones = (60 + 170 * np.sqrt(np.linspace(0, 1, count)) * rng.uniform(0.6, 1, count)).astype(int)
    widths = rng.integers(1, 4, count)
    for (x, y), length, turn, tone, width in zip(
        starts, lengths, turns, tones, widths, strict=True
    ):
        a = (int(x + margin), int(y + margin))
        b = (int(a[0] + length * np.cos(turn)), int(a[1] + length * np.sin(turn)))
        cv2.line(tile, a, b, int(tone), int(width), cv2.LINE_AA)
    body = tile[margin:-margin, margin:-margin].copy()
    np.maximum(body[:margin], tile[-margin:, margin:-margin], out=body[:margin])
    np.maximum(body[:, :margin], tile[margin:-margin, -margin:], out=body[:, :margin])
    base = _enlarge(_grey(_coarse(rng, h, w, (4, 12)), 0.4), h, w)
    mixed = _mix(_spread(body, h, w), base, 0.85, 0.5)
    greens = [
        (rgb(22, 34, 16), rgb(66, 98, 40), rgb(150, 176, 92)),
        (rgb(58, 44, 24), rgb(140, 116, 66), rgb(212, 192, 132)),
    ]
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, greens[int(rng.random() < 0.3)])))


def _paper(rng: _Random, h: int, w: int) -> Image:
    base = _enlarge(_grey(_coarse(rng, h, w, (3, 8)), 0.15), h, w)
    fibres = 0.5 * _grain(rng, 5, 0.8) + 0.5 * _grain(rng, 0.8, 5)
    tile = _grey(fibres.astype(np.float32), rng.uniform(0.03, 0.12))
    mixed = _mix(base, _spread(tile, h, w), 1.0, 1.0)
    ruled = rng.random()
    if ruled < 0.6:
        step, tone = int(rng.uniform(28, 90)), int(rng.uniform(60, 110))
        mixed[::step] = tone
        mixed[1::step] = tone
        if ruled < 0.25:
            mixed[:, ::step] = tone
            mixed[:, 1::step] = tone
    pale = rgb(*rng.uniform(196, 240, 3))
    if rng.random() < 0.3:
        pale = rgb(186, 150, 110)  # kraft
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, (pale * 0.5, pale, pale * 0.6 + 100))))


def _leather(rng: _Random, h: int, w: int) -> Image:
    distance, _ = _cells(rng, int(rng.uniform(700, 2500)))
    field = 0.6 - distance / distance.max() * 2.0 + 0.15 * _grain(rng, 0.8, 0.8)
    tile = _grey(field.astype(np.float32), 0.6)
    base = _enlarge(_grey(_coarse(rng, h, w, (3, 8)), 0.25), h, w)
    mixed = _mix(_spread(tile, h, w), base, rng.uniform(0.4, 0.8), 0.6)
    hues = [rgb(92, 56, 36), rgb(46, 44, 46), rgb(150, 112, 76), rgb(110, 32, 34), rgb(48, 58, 84)]
    hue = hues[int(rng.integers(len(hues)))]
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, (hue * 0.4, hue, hue * 0.6 + 80))))


def _tiles(rng: _Random, h: int, w: int) -> Image:
    tall, wide = int(rng.uniform(120, 520)), int(rng.uniform(120, 520))
    joint = int(rng.uniform(4, 12))
    rows, columns = h // tall + 2, w // wide + 2
    tones = rng.normal(0, rng.uniform(2, 16), (rows, columns))
    y0, x0 = int(rng.integers(tall)), int(rng.integers(wide))
    ys, xs = (np.arange(h) + y0), (np.arange(w) + x0)
    tone = np.clip(150 + tones, 0, 255).astype(np.uint8)[(ys // tall)[:, None], xs // wide]
    tone[ys % tall < joint] = 40
    tone[:, xs % wide < joint] = 40
    stone = _enlarge(_grey(_coarse(rng, h, w, (6, 18, 50)), 0.3), h, w)
    mixed = _mix(tone, stone, 1.0, rng.uniform(0.1, 0.5))
    grain = _spread(_grey(_grain(rng, 0.8, 0.8), 0.06), h, w)
    mixed = _mix(mixed, grain, 1.0, 1.0)
    hue = _dye(rng, 90, 215)
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, (hue * 0.4, hue, hue * 0.5 + 120))))


def _carpet(rng: _Random, h: int, w: int) -> Image:
    sigma = rng.uniform(0.9, 2.4)
    tufts = _grain(rng, sigma, sigma * rng.uniform(1, 2))
    tile = _grey(tufts, rng.uniform(0.2, 0.4))
    base = _enlarge(_grey(_coarse(rng, h, w, (3, 9, 40)), 0.3), h, w)
    mixed = _mix(_spread(tile, h, w), base, 1.0, 0.5)
    hue = _dye(rng, 50, 170)
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, (hue * 0.4, hue, hue * 0.6 + 90))))


def _gravel(rng: _Random, h: int, w: int) -> Image:
    """Gravel or terrazzo: each cell has one tone and is darker towards its edge."""
    distance, names = _cells(rng, int(rng.uniform(120, 700)))
    tones = rng.uniform(-0.8, 0.8, 512 * 512).astype(np.float32)
    round_edge = rng.uniform(0.2, 1.0)
    field = tones[names] - round_edge * (distance / distance.max() * 2) ** 2
    tile = _grey((field + 0.12 * _grain(rng, 0.7, 0.7)).astype(np.float32), 0.7)
    base = _enlarge(_grey(_coarse(rng, h, w, (4, 10)), 0.3), h, w)
    mixed = _mix(_spread(tile, h, w), base, rng.uniform(0.5, 0.9), 0.5)
    greys = (rgb(70, 66, 60), rgb(142, 134, 124), rgb(206, 200, 190))
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, greys)))


def _metal(rng: _Random, h: int, w: int) -> Image:
    brushed = _spread(_grey(_grain(rng, 45, 0.5), rng.uniform(0.08, 0.2)), h, w)
    base = _enlarge(_grey(_coarse(rng, h, w, (2, 5)), 0.2), h, w)
    mixed = _mix(brushed, base, 1.0, 1.0)
    hue = rgb(150, 152, 156) if rng.random() < 0.6 else _dye(rng, 60, 190)
    return np.asarray(cv2.applyColorMap(mixed, _palette(rng, (hue * 0.5, hue, hue * 0.5 + 120))))


GROUNDS: dict[str, Callable[[_Random, int, int], Image]] = {
    "wood": _wood,
    "weave": _weave,
    "concrete": _concrete,
    "grass": _grass,
    "paper": _paper,
    "leather": _leather,
    "tiles": _tiles,
    "carpet": _carpet,
    "gravel": _gravel,
    "metal": _metal,
}


def textured_ground(rng: np.random.Generator, h: int, w: int, kind: str | None = None) -> Image:
    """A background, uint8 (h, w, 3) BGR; `kind` is a key of `GROUNDS`, random if None."""
    names = list(GROUNDS)
    name = kind if kind is not None else names[int(rng.integers(len(names)))]
    if rng.random() < 0.5:
        return np.ascontiguousarray(GROUNDS[name](rng, h, w))
    turned = GROUNDS[name](rng, w, h)
    return np.asarray(cv2.rotate(turned, cv2.ROTATE_90_CLOCKWISE), np.uint8)
