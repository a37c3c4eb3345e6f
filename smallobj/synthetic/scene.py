"""Composing one image: background, clutter, shadows, objects, light and sensor noise.

Objects lie on top of everything else, fully inside the image and without overlap. So the box of an
object is the tight box of its alpha above one half; its shadow is not included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from smallobj.synthetic.canvas import FloatArray, smooth_noise
from smallobj.synthetic.clutter import draw_clutter, lay_cable, spill_stain
from smallobj.synthetic.drawings import Light
from smallobj.synthetic.pose import Patch, Pose, random_pose, shrink, warp
from smallobj.synthetic.sources import GroundSource, ObjectSource

Label = tuple[int, float, float, float, float]
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_GAP = 6  # px, least distance between the patches of two objects
_THINNEST = 2  # px, least shorter side of a box
_TRIES = 40


@dataclass(frozen=True)
class SceneConfig:
    """Size of the image, and number and size of its objects.

    Raises:
        ValueError: a range is empty, or the largest object does not fit into the image.
    """

    height: int = 2100
    width: int = 2800
    objects_min: int = 1
    objects_max: int = 5
    min_size: float = 10.0  # px, longer side of the box
    max_size: float = 100.0

    def __post_init__(self) -> None:
        if not 1 <= self.objects_min <= self.objects_max:
            raise ValueError(
                f"the number of objects needs 1 <= min <= max, "
                f"got {self.objects_min} and {self.objects_max}"
            )
        if not 4 <= self.min_size <= self.max_size - 2:
            raise ValueError(
                f"object sizes need 4 <= min <= max - 2 px, got {self.min_size} and {self.max_size}"
            )
        if self.max_size + 24 > min(self.height, self.width):
            raise ValueError(
                f"objects of {self.max_size} px do not fit into {self.width}x{self.height}: "
                f"both sides must exceed the largest object by 24 px"
            )


class Photograph(NamedTuple):
    """One rendered image with its labels and masks.

    Attributes:
        image: uint8 (height, width, 3) BGR.
        labels: (class id, x, y, w, h) of each object, in whole pixels.
        masks: of each object, bool (h, w) over its box: alpha above one half.
    """

    image: Image
    labels: list[Label]
    masks: list[Mask]


@dataclass(frozen=True)
class _Look:
    """Light, blur and shadows, common to all objects in one image."""

    light: Light
    sigma: float
    smear: tuple[float, float]
    shadow_reach: float  # px of shadow per px of object
    shadow_depth: float
    shadow_soft: float


def _random_look(rng: np.random.Generator) -> _Look:
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(30, 70))
    flat = float(np.cos(elevation))
    light = (flat * np.cos(azimuth), flat * np.sin(azimuth), float(np.sin(elevation)))
    shake = rng.uniform(0.8, 3.0) if rng.random() < 0.15 else 0.0
    direction = rng.uniform(0, np.pi)
    return _Look(
        light=light,
        sigma=float(min(abs(rng.normal(0.0, 0.55)), 1.3)),
        smear=(float(shake * np.cos(direction)), float(shake * np.sin(direction))),
        shadow_reach=0.12 * flat / light[2] * rng.uniform(0.4, 1.3),
        shadow_depth=rng.uniform(0.25, 0.65),
        shadow_soft=rng.uniform(0.03, 0.09),
    )


def _light_on(pose: Pose, light: Light) -> Light:
    """The light in the frame of the sprite, before the sprite is rotated in the image plane."""
    radians = np.deg2rad(pose.turn)
    c, s = float(np.cos(radians)), float(np.sin(radians))
    return (c * light[0] + s * light[1], -s * light[0] + c * light[1], light[2])


def paste(image: Image, pixels: FloatArray, x: int, y: int) -> None:
    """Composites premultiplied pixels (h, w, 4) over `image`, in place, clipped to its edges."""
    h, w = pixels.shape[:2]
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(h, image.shape[0] - y), min(w, image.shape[1] - x)
    if top >= bottom or left >= right:
        return
    part = pixels[top:bottom, left:right]
    region = image[y + top : y + bottom, x + left : x + right]
    mixed = region.astype(np.float32) * (1 - part[..., 3:]) + part[..., :3]
    region[...] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def _cast_shadow(image: Image, patch: FloatArray, x: int, y: int, look: _Look) -> None:
    side = max(patch.shape[:2])
    reach = look.shadow_reach * side
    pad = int(reach + 0.3 * side) + 4
    alpha = cv2.copyMakeBorder(
        np.ascontiguousarray(patch[..., 3]), pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0,)
    )
    norm = float(np.hypot(look.light[0], look.light[1]))
    dx, dy = (-look.light[k] / norm * reach for k in (0, 1))
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    cast = cv2.warpAffine(alpha, move, (alpha.shape[1], alpha.shape[0]))
    soft = cv2.GaussianBlur(cast, (0, 0), max(0.6, look.shadow_soft * side))
    contact = cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.02 * side))
    dark = np.maximum(soft * look.shadow_depth, contact * 0.5 * look.shadow_depth)
    veil = np.zeros((*alpha.shape, 4), np.float32)
    veil[..., 3] = dark
    paste(image, veil, x - pad, y - pad)


def _scatter_clutter(rng: np.random.Generator, image: Image, look: _Look, largest: float) -> None:
    h, w = image.shape[:2]
    area = h * w / (2100 * 2800)
    for _ in range(int(rng.poisson(1.2))):
        spill_stain(rng, image)
    if rng.random() < 0.3:
        lay_cable(rng, image)
    for _ in range(int(rng.poisson(rng.uniform(0, 26) * max(area, 0.05)))):
        side = float(np.exp(rng.uniform(np.log(6), np.log(1.6 * largest))))
        pose = random_pose(rng)
        lit = _light_on(pose, look.light)
        name, sprite = draw_clutter(rng, lit, int(np.clip(3 * side, 64, 256)))
        side *= {"paper": 2.0, "crumb": 0.3}.get(name, 1.0)
        patch = shrink(rng, warp(sprite, pose), max(side, 3.0), look.sigma, look.smear)
        if patch is None:
            continue
        x, y = int(rng.integers(-20, w)), int(rng.integers(-20, h))
        _cast_shadow(image, patch.pixels, x, y, look)
        paste(image, patch.pixels, x, y)


def _random_side(rng: np.random.Generator, config: SceneConfig) -> float:
    """A random side, px; its logarithm favours larger sizes: a mean of 45 px between 10 and 100."""
    low, high = np.log(config.min_size + 1), np.log(config.max_size - 1)
    return float(np.exp(low + (high - low) * rng.beta(1.35, 1.0)))


def _fitting_patch(
    rng: np.random.Generator, cls: int, objects: ObjectSource, config: SceneConfig, look: _Look
) -> Patch | None:
    """A patch of class `cls` whose box lies in the size range.

    An object that is too thin to cover half a pixel at the chosen size is shown larger. None if it
    is too thin even at the largest size.
    """
    side = _random_side(rng, config)
    pose = random_pose(rng)
    warped = warp(objects.sprite(cls, rng, _light_on(pose, look.light), side), pose)
    gain = np.float32(rng.uniform(0.82, 1.12))
    for _ in range(_TRIES):
        patch = shrink(rng, warped, side, look.sigma, look.smear)
        long, short = (max(patch.box[2:]), min(patch.box[2:])) if patch else (0, 0)
        if patch is not None and long > config.max_size:
            side *= 0.97
        elif patch is None or short < _THINNEST or long < max(config.min_size, 0.75 * side):
            if side >= config.max_size - 1:
                return None
            side = min(side * 1.12, config.max_size - 1)
        else:
            colour = np.minimum(patch.pixels[..., :3] * gain, 255 * patch.pixels[..., 3:])
            return Patch(np.dstack([colour, patch.pixels[..., 3]]), patch.box)
    return None


def _place(
    rng: np.random.Generator,
    patch: Patch,
    taken: list[tuple[int, int, int, int]],
    config: SceneConfig,
) -> tuple[int, int] | None:
    """A position (x, y) of the patch that is clear of `taken` (x0, y0, x1, y1), or None."""
    h, w = patch.pixels.shape[:2]
    if w >= config.width or h >= config.height:
        return None
    for _ in range(_TRIES):
        x, y = (
            int(rng.integers(0, config.width - w + 1)),
            int(rng.integers(0, config.height - h + 1)),
        )
        if all(
            x >= x1 + _GAP or x + w + _GAP <= x0 or y >= y1 + _GAP or y + h + _GAP <= y0
            for x0, y0, x1, y1 in taken
        ):
            return x, y
    return None


def _lay_objects(
    rng: np.random.Generator, objects: ObjectSource, config: SceneConfig, look: _Look
) -> list[tuple[int, Patch, int, int]]:
    """Chooses, poses and places the objects; returns (class id, patch, x, y) of each.

    Raises:
        ValueError: fewer than `objects_min` fit.
    """
    wanted = int(rng.integers(config.objects_min, config.objects_max + 1))
    laid: list[tuple[int, Patch, int, int]] = []
    taken: list[tuple[int, int, int, int]] = []
    failures = 0
    while len(laid) < wanted and failures < _TRIES:
        cls = int(rng.integers(len(objects.names)))
        patch = _fitting_patch(rng, cls, objects, config, look)
        place = None if patch is None else _place(rng, patch, taken, config)
        if patch is None or place is None:
            failures += 1
            continue
        h, w = patch.pixels.shape[:2]
        taken.append((place[0], place[1], place[0] + w, place[1] + h))
        laid.append((cls, patch, *place))
    if len(laid) < config.objects_min:
        raise ValueError(
            f"at least {config.objects_min} objects of {config.min_size}-{config.max_size} px "
            f"should fit into {config.width}x{config.height}, but only {len(laid)} did"
        )
    return laid


def _illuminate(rng: np.random.Generator, image: Image, light: Light) -> Image:
    """Applies exposure, a gradient towards the light, vignetting and colour temperature."""
    h, w = image.shape[:2]
    rows, columns = max(h // 32, 8), max(w // 32, 8)
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    gain = 1 + np.float32(rng.uniform(0, 0.22)) * (x * light[0] + y * light[1])
    gain = gain * (1 - np.float32(rng.uniform(0, 0.14)) * (x * x + y * y))
    gain = gain + np.float32(0.05) * smooth_noise(rng, rows, columns, 3)
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 - warmth, 1 + rng.normal(0, 0.015), 1 + warmth]) * rng.uniform(0.75, 1.12)
    field = np.clip(gain[..., None] * tint * 128, 0, 255).astype(np.uint8)
    full = cv2.resize(field, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(image, full, scale=1 / 128), np.uint8)


def _add_noise(rng: np.random.Generator, image: Image) -> Image:
    """Adds sensor noise from one repeated tile; the period of 640 px is too long to notice."""
    sigma = rng.uniform(0.6, 3.2)
    side = 640
    noise = rng.standard_normal((side, side, 3), dtype=np.float32) * np.float32(sigma)
    h, w = image.shape[:2]
    repeats = (-(-h // side), -(-w // side), 1)
    brighter = np.tile(np.clip(noise + 0.5, 0, 255).astype(np.uint8), repeats)[:h, :w]
    darker = np.tile(np.clip(0.5 - noise, 0, 255).astype(np.uint8), repeats)[:h, :w]
    return np.asarray(cv2.subtract(cv2.add(image, brighter), darker), np.uint8)


def render_scene(
    rng: np.random.Generator, config: SceneConfig, objects: ObjectSource, grounds: GroundSource
) -> Photograph:
    """Renders one image with its labels and masks.

    The result depends only on `rng` and the other arguments.

    Raises:
        ValueError: the objects do not fit, or a background cannot be read.
    """
    look = _random_look(rng)
    image = grounds.ground(rng, config.height, config.width)
    if look.sigma > 0.5:  # the background is out of focus too
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), look.sigma), np.uint8)
    _scatter_clutter(rng, image, look, config.max_size)
    laid = _lay_objects(rng, objects, config, look)
    for _, patch, x, y in laid:
        _cast_shadow(image, patch.pixels, x, y, look)
    labels: list[Label] = []
    masks: list[Mask] = []
    for cls, patch, x, y in laid:
        paste(image, patch.pixels, x, y)
        bx, by, bw, bh = patch.box
        labels.append((cls, float(x + bx), float(y + by), float(bw), float(bh)))
        masks.append(patch.pixels[by : by + bh, bx : bx + bw, 3] > 0.5)
    return Photograph(_add_noise(rng, _illuminate(rng, image, look.light)), labels, masks)
