import numpy as np
import pytest

from smallobj.results.class_colors import PALETTE, class_color, contrast_of, ink_on

# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; on linear RGB.
SEEN = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(linear):
    """CIE L*a*b* of linear sRGB (N, 3), white D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def linear_colors():
    rgb = np.array([class_color(index)[::-1] for index in range(len(PALETTE))]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("vision", SEEN)
def test_colours_differ_with_every_kind_of_vision(vision):
    seen = lab((linear_colors() @ np.array(SEEN[vision]).T).clip(0, 1))
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 1000 * np.eye(len(seen))
    assert distances.min() > 10  # a difference of 2.3 is just noticeable
    assert distances[:8, :8].min() > 24


def test_colours_are_fixed_and_repeat_after_the_last():
    assert class_color(0) == (0, 136, 255)
    assert class_color(7) == class_color(7 + len(PALETTE))
    assert len(set(PALETTE)) == len(PALETTE) == 30


def test_text_and_ring_stand_out_from_their_colour():
    for index in range(len(PALETTE)):
        color = np.array(class_color(index))
        for other in (ink_on(tuple(color)), contrast_of(tuple(color))):
            assert np.abs(color - other).sum() > 150
