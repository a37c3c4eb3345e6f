"""Numbers of results that are possible, but hardly meant: scores in percent, corners for sides."""

from __future__ import annotations

import numpy as np

PERCENT_RULE = "scores must not be in percent"
CORNERS_RULE = "a box must be x, y, width, height"
_HIGHEST_PERCENT = 100
# Shares of a box's side: rounding and boxes that were not cut at the border stick out by less.
_STICKS_OUT = 0.1


def percent_value(scores: np.ndarray) -> str | None:
    """What shows that scores (D,) are in percent: none below 0 or above 100, and some above 1."""
    # Written so that a NaN, which is reported elsewhere, gives None.
    if not len(scores) or not (scores.min() >= 0 and 1 < scores.max() <= _HIGHEST_PERCENT):
        return None
    return f"scores up to {scores.max():g}; divide them by 100"


def corners_value(boxes: np.ndarray, sizes: np.ndarray) -> str | None:
    """What shows that boxes hold x1, y1, x2, y2; None where they may be x, y, w, h.

    All are boxes inside their images if read as corners, and some stick out far otherwise.

    Args:
        boxes: (D, 4) as they stand in the file.
        sizes: (D, 2), (h, w) of each box's image; 0 where it is unknown.
    """
    limits = sizes[:, ::-1]
    starts, ends = boxes[:, :2], boxes[:, 2:]
    if not len(boxes) or not (limits > 0).all():
        return None
    # A pixel of rounding.
    if not ((starts >= -1) & (ends >= starts) & (ends <= limits + 1)).all():
        return None
    beyond = (starts + ends - limits > np.maximum(_STICKS_OUT * ends, 1)).any(axis=1)
    if not beyond.any():
        return None
    width, height = limits[beyond][0].tolist()
    shown = [float(f"{number:.6g}") for number in boxes[beyond][0].tolist()]
    return (
        f"{beyond.sum()} of {len(boxes)} stick out of their images, as {shown} of one {width} wide "
        f"and {height} high, and all fit as x1, y1, x2, y2; write x1, y1, x2 - x1, y2 - y1"
    )
