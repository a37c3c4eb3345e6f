"""Sources of the objects and backgrounds of a scene: drawings of this package, or real images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.synthetic.background import textured_ground
from smallobj.synthetic.canvas import FloatArray
from smallobj.synthetic.drawings import SPRITE_SIZE, Light, draw_class

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class ObjectSource(Protocol):
    """Provides sprites by class id."""

    @property
    def names(self) -> tuple[str, ...]:
        """The class names; the index is the class id."""

    def sprite(self, cls: int, rng: np.random.Generator, light: Light, side: float) -> FloatArray:
        """A sprite of class `cls`, premultiplied BGRA float32, to be shown about `side` px long."""


class GroundSource(Protocol):
    """Provides backgrounds."""

    def ground(self, rng: np.random.Generator, h: int, w: int) -> NDArray[np.uint8]:
        """A background, uint8 (h, w, 3) BGR."""


class DrawnObjects:
    """The 30 challenge classes; every sprite is a new drawing."""

    names: tuple[str, ...] = CHALLENGE_CLASSES_EN

    def sprite(self, cls: int, rng: np.random.Generator, light: Light, side: float) -> FloatArray:
        """See `ObjectSource`; drawn at 4.3 times `side`, within [192, `SPRITE_SIZE`] px."""
        size = int(np.clip(4.3 * side, 192, SPRITE_SIZE))
        return draw_class(cls, rng, light, size)


class ChosenObjects:
    """Some classes of another source; their ids follow the order of `names`.

    Raises:
        ValueError: `names` is empty, repeats a class or has one that the source lacks.
    """

    def __init__(self, source: ObjectSource, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in source.names]
        if unknown:
            raise ValueError(
                f"--classes must be some of {', '.join(source.names)}; got {', '.join(unknown)}"
            )
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"--classes needs one class or more, none twice; got {', '.join(names) or 'none'}"
            )
        self.names: tuple[str, ...] = tuple(names)
        self._source = source
        self._ids = [source.names.index(name) for name in names]

    def sprite(self, cls: int, rng: np.random.Generator, light: Light, side: float) -> FloatArray:
        """See `ObjectSource`."""
        return self._source.sprite(self._ids[cls], rng, light, side)


class TexturedGrounds:
    """The computed textures of `smallobj.synthetic.background`."""

    def ground(self, rng: np.random.Generator, h: int, w: int) -> NDArray[np.uint8]:
        """See `GroundSource`."""
        return textured_ground(rng, h, w)


def _require_folder(folder: Path, option: str) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{option} must name an existing folder, got {folder}")


def _sprite_classes(folder: Path) -> list[tuple[Path, str]]:
    """Every sprite file with its class: from manifest.json if it exists, else the sub-folder."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return [
            (path, path.parent.name)
            for path in sorted(folder.glob("*/*"))
            if path.suffix.lower() == ".png"
        ]
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        return [(folder / str(entry["file"]), str(entry["cls"])) for entry in entries]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{manifest} must be a JSON list of objects with `file` and `cls`; {error!r}"
        ) from error


def read_cut_out(path: Path, longest: int = SPRITE_SIZE) -> FloatArray:
    """A PNG with transparency as premultiplied BGRA, float32, sides of at most `longest` px.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it cannot be read, has no alpha channel or no pixel with alpha over 0.5.
    """
    if not path.is_file():
        raise FileNotFoundError(f"sprite does not exist: {path}")
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(f"sprite cannot be read as an image: {path}")
    if image.ndim != 3 or image.shape[2] != 4:
        raise ValueError(f"a sprite needs an alpha channel (BGRA), got shape {image.shape}: {path}")
    top = {1: 255.0, 2: 65535.0}.get(image.dtype.itemsize, 1.0)  # 8-bit, 16-bit, float
    pixels = image.astype(np.float32) * np.float32(255 / top)
    pixels[..., 3] /= 255
    if float(pixels[..., 3].max()) <= 0.5:
        raise ValueError(f"a sprite needs pixels with alpha over 0.5, has none: {path}")
    pixels[..., :3] *= pixels[..., 3:]
    factor = longest / max(pixels.shape[:2])
    if factor < 1:
        size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(pixels, np.float32)


class CutOutObjects:
    """Real cut-outs from a folder of PNGs with alpha; classes sorted by name.

    The class of a file is `cls` of its entry in the folder's manifest.json. Without a manifest it
    is the name of the file's sub-folder.

    Raises:
        FileNotFoundError: the folder, or a file that the manifest names, does not exist.
        ValueError: the folder has no sprite, the manifest is broken or a file is not a cut-out.
    """

    def __init__(self, folder: Path) -> None:
        _require_folder(folder, "--sprites")
        found = _sprite_classes(folder)
        if not found:
            raise ValueError(
                f"--sprites needs PNGs in sub-folders named by class, or a manifest.json, "
                f"found no sprite in {folder}"
            )
        self.names: tuple[str, ...] = tuple(sorted({name for _, name in found}))
        self._sprites: list[list[FloatArray]] = [[] for _ in self.names]
        for path, name in found:
            self._sprites[self.names.index(name)].append(read_cut_out(path))

    def sprite(self, cls: int, rng: np.random.Generator, light: Light, side: float) -> FloatArray:
        """See `ObjectSource`; `light` is ignored, since a real sprite is already lit."""
        choices = self._sprites[cls]
        return choices[int(rng.integers(len(choices)))]


class PhotographGrounds:
    """Crops of real photographs.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the folder has no image.
    """

    def __init__(self, folder: Path) -> None:
        _require_folder(folder, "--backgrounds")
        self.paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES)
        if not self.paths:
            raise ValueError(f"--backgrounds needs pictures {_PICTURES}, found none in {folder}")

    def ground(self, rng: np.random.Generator, h: int, w: int) -> NDArray[np.uint8]:
        """A random crop of a random photograph, of aspect ratio w : h, scaled to (h, w).

        Raises:
            ValueError: the photograph cannot be read.
        """
        path = self.paths[int(rng.integers(len(self.paths)))]
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"background cannot be read as an image: {path}")
        rows, columns = image.shape[:2]
        # Any size from the largest crop of that aspect ratio down to native resolution.
        largest = min(rows / h, columns / w)
        scale = rng.uniform(min(largest, 1.0), largest) if largest > 1 else largest
        tall, wide = max(1, int(h * scale)), max(1, int(w * scale))
        y, x = int(rng.integers(0, rows - tall + 1)), int(rng.integers(0, columns - wide + 1))
        crop = image[y : y + tall, x : x + wide]
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
        method = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, (w, h), interpolation=method), np.uint8)
