"""A folder of photographs with awkward names, and boxes on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from smallobj.formats import BoxSet, ImageBoxes

CLASSES = ("볼트", 'Nuß & <b> "x"', "a, b", "never used")
SIZES = {
    "10.jpg": (3001, 4001),
    "9.jpg": (300, 700),
    "empty.png": (30, 40),
    "Ordner/größe, 2.png": (777, 1013),
    "사진/a b/볼트.jpg": (64, 48),
}


def random_image(random: np.random.Generator, file: str, scored: bool, crowd: bool) -> ImageBoxes:
    """Boxes with up to six decimals; they reach the image's borders."""
    height, width = SIZES[file]
    number = 0 if file == "empty.png" else 7
    places = random.random((number, 2, 2)).round(random.integers(2, 9)) * (width, height)
    corners = np.sort(places, axis=1).reshape(-1, 4).round(6)
    corners[:, 2:] += 0.25
    corners[:, 2:] = np.minimum(corners[:, 2:], (width, height))
    corners[:, :2] = np.minimum(corners[:, :2], corners[:, 2:] - 0.125)
    if number:
        corners[0] = (0, 0, width, height)
    is_crowd = random.random(number) < 0.5
    return ImageBoxes(
        file,
        SIZES[file],
        corners.round(6),
        random.integers(0, 3, number),
        random.random(number) if scored and number else None,
        is_crowd if crowd and is_crowd.any() else None,
    )


@dataclasses.dataclass
class Photographs:
    """The folder, and random boxes on its images."""

    folder: Path
    classes: tuple[str, ...] = CLASSES
    sizes: dict[str, tuple[int, int]] = dataclasses.field(default_factory=lambda: dict(SIZES))

    def boxes(self, seed: int, scored: bool = False, crowd: bool = False) -> BoxSet:
        random = np.random.default_rng(seed)
        images = [random_image(random, file, scored, crowd) for file in SIZES]
        return BoxSet(images, list(CLASSES))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Photographs:
    folder = tmp_path_factory.mktemp("photographs")
    for name, (height, width) in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (width, height)).save(folder / name)
    return Photographs(folder)
