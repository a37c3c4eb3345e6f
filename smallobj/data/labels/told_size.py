"""Sizes of images as label files tell them, against those of the image files."""

from __future__ import annotations

from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, rule
from smallobj.images.kinds import read_start
from smallobj.images.orientation import is_turned_sideways, orientation_of

UNKNOWN_SIZE = rule(
    "image-size-unknown",
    "without a folder of images, an image must have a whole width and height",
    dropped="image",
)
_SIZE_RULE = rule(
    "image-size",
    "width and height must be those of the image",
    FIX,
    fixed="size taken from the image",
    dropped="image",
)
_TURNED_RULE = rule(
    "image-turned",
    "width and height must be those of the upright image (EXIF orientation applied): boxes drawn "
    "in the image as it is stored lie elsewhere",
    fixed="size taken from the upright image",
    dropped="image",
)
_SCALED_RULE = rule(
    "image-scaled",
    "width and height must be those of the image: boxes drawn in a smaller or larger copy lie "
    "elsewhere",
    fixed="image whose boxes are scaled to it",
    dropped="image",
)
# Sides in the same ratio up to this share are those of a scaled copy.
_SAME_RATIO = 0.02


def scale_of(
    told: tuple[int, int] | None,
    found: tuple[int, int],
    path: str,
    place: tuple[str, str],
    reading: DatasetReading,
    value: str = "",
) -> tuple[float, float] | None:
    """(x, y) by which coordinates are multiplied; None if the image is left out.

    Args:
        told: (h, w) in the label file, None where it isn't whole.
        found: (h, w) of the image.
        path: of the image.
        place: file and entry that a problem names.
        reading: receives the problems.
        value: what the label file says, for the message.
    """
    if told == found:
        return 1.0, 1.0
    value = value or (f"{told[1]} wide, {told[0]} high" if told is not None else "none")
    value += f"; the image is {found[1]} and {found[0]}"
    broken = _SIZE_RULE
    if told is not None and told == found[::-1] and _is_stored_sideways(path):
        broken = _TURNED_RULE
    elif told is not None and is_scaled(told, found):
        broken = _SCALED_RULE
    if reading.report(*place, broken, value) != FIX:
        return None
    if broken is _SCALED_RULE and told is not None:
        return found[1] / told[1], found[0] / told[0]
    return 1.0, 1.0


def _is_stored_sideways(path: str) -> bool:
    return is_turned_sideways(orientation_of(path, read_start(path).kind))


def is_scaled(told: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a told size (h, w) is that of a smaller or larger copy of an image of ``size``."""
    by_height, by_width = size[0] / told[0], size[1] / told[1]
    # A few pixels more or less are another kind of mistake, which moves no box.
    far = abs(size[0] - told[0]) > 2 or abs(size[1] - told[1]) > 2
    return far and abs(by_height / by_width - 1) <= _SAME_RATIO
