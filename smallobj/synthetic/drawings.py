"""The drawing of each of the 30 challenge classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.synthetic import shapes_gadgets as gadgets
from smallobj.synthetic import shapes_hardware as hardware
from smallobj.synthetic import shapes_money as money
from smallobj.synthetic import shapes_nuts as nuts
from smallobj.synthetic.canvas import Canvas, FloatArray

Drawing = Callable[[np.random.Generator, Canvas], None]
Light = tuple[float, float, float]

# Objects of 100 px, the largest, are drawn at more than four times their size.
SPRITE_SIZE = 448

DRAWINGS: dict[str, Drawing] = {
    "SD card": gadgets.draw_sd_card,
    "webcam": gadgets.draw_webcam,
    "OTP token": gadgets.draw_otp_token,
    "calculator": gadgets.draw_calculator,
    "necklace": gadgets.draw_necklace,
    "tie pin": gadgets.draw_tie_pin,
    "10-won coin": money.draw_coin_10,
    "50-won coin": money.draw_coin_50,
    "100-won coin": money.draw_coin_100,
    "500-won coin": money.draw_coin_500,
    "US banknote": money.draw_us_banknote,
    "euro banknote": money.draw_euro_banknote,
    "Thai banknote": money.draw_thai_banknote,
    "Philippine banknote": money.draw_philippine_banknote,
    "chestnut": nuts.draw_chestnut,
    "Brazil nut": nuts.draw_brazil_nut,
    "ginkgo nut": nuts.draw_ginkgo_nut,
    "pecan": nuts.draw_pecan,
    "walnut": nuts.draw_walnut,
    "pumpkin seed": nuts.draw_pumpkin_seed,
    "sunflower seed": nuts.draw_sunflower_seed,
    "tape measure": hardware.draw_tape_measure,
    "battery": gadgets.draw_battery,
    "hammer": hardware.draw_hammer,
    "nail": hardware.draw_nail,
    "wood screw": hardware.draw_wood_screw,
    "bolt": hardware.draw_bolt,
    "nut": hardware.draw_nut,
    "tacker": hardware.draw_tacker,
    "bearing": hardware.draw_bearing,
}
assert tuple(DRAWINGS) == CHALLENGE_CLASSES_EN


def draw_class(
    cls: int, rng: np.random.Generator, light: Light = (-0.5, -0.6, 0.8), size: int = SPRITE_SIZE
) -> FloatArray:
    """A random drawing of class id `cls`: premultiplied BGRA, float32 (size, size, 4).

    Colours are 0-255 times alpha, alpha is 0-1. `light` points towards the light (x right, y
    down, z out of the image plane).
    """
    canvas = Canvas(size, light)
    DRAWINGS[CHALLENGE_CLASSES_EN[cls]](rng, canvas)
    return canvas.premultiplied()
