"""Choice of labels for a picture: the most verbose kind that hides no objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from smallobj.results.drawing_options import LABEL_KINDS
from smallobj.results.text_labels import Label, measure_labels, place_labels, place_strictly

VERBOSE_FIRST = LABEL_KINDS[::-1]
SMALLEST_LETTER = 12
# Only for a choice between these and shorter labels.
_TINY_LETTER = 10
# Pixels of the picture's longer side per pixel of letter height.
_PICTURE_PER_LETTER = 100
# Height of letters at most, in longer sides of a typical object.
_LETTER_PER_OBJECT = 2
_SHRINKING = 0.75
# More labels than these are never read.
_MOST_LABELS = 2000
# A kind of labels is chosen if at least this share of the objects gets one.
_LEAST_LABELLED = 0.95


class LabelChoice(NamedTuple):
    """Labels of a picture.

    Attributes:
        kind: one of LABEL_KINDS.
        letter: height of a line of text in pixels.
        labels: N measured labels; empty for the kind "none".
        places: (N, 4) int XYXY; zeros for a label that is left out.
    """

    kind: str
    letter: int
    labels: list[Label]
    places: np.ndarray

    @property
    def left_out(self) -> int:
        """Number of labels that found no room."""
        wanted = np.array([bool(label.text) for label in self.labels], dtype=bool)
        return int((wanted & ~self.places[: len(wanted)].any(axis=1)).sum())


def usual_letter(size: tuple[int, int]) -> int:
    """Height of letters that suits a picture of ``size`` (h, w) in which there is room."""
    return max(SMALLEST_LETTER, round(max(size) / _PICTURE_PER_LETTER))


def choose_labels(
    size: tuple[int, int],
    frames: np.ndarray,
    texts: Mapping[str, Sequence[str]],
    kinds: Sequence[str],
) -> LabelChoice:
    """The first kind of labels that finds room without hiding objects.

    The letters are the largest with which the fewest labels are left out.

    A single kind is taken even if its labels hide something.

    Args:
        size: (h, w) of the picture.
        frames: (N, 4) XYXY, with the frames' lines.
        texts: N texts by kind.
        kinds: the kinds to choose from, by preference; after the last of several there are no
            labels.
    """
    nothing = LabelChoice("none", SMALLEST_LETTER, [], np.zeros((len(frames), 4), dtype=int))
    letters = _letters(size, frames)
    spare = len(frames) - int(np.ceil(_LEAST_LABELLED * len(frames)))
    for kind in kinds:
        if kind == "none" or not len(frames) or (len(frames) > _MOST_LABELS and len(kinds) > 1):
            break
        best: LabelChoice | None = None
        for letter in letters:
            labels = measure_labels(texts[kind], letter, size[1])
            most = spare if best is None else best.left_out - 1
            places = _try(size, frames, labels, most, distant=kind != "index")
            if places is not None:
                best = LabelChoice(kind, letter, labels, places)
                if not best.left_out:
                    break
        if best is not None:
            return best
    if len(kinds) > 1 or "none" in kinds or not len(frames):
        return nothing
    labels = measure_labels(texts[kinds[0]], letters[-1], size[1])
    return LabelChoice(kinds[0], letters[-1], labels, place_labels(frames, labels, size))


def _letters(size: tuple[int, int], frames: np.ndarray) -> list[int]:
    """Heights of letters to try, the largest first."""
    typical = float(np.median((frames[:, 2:] - frames[:, :2]).max(axis=1))) if len(frames) else 0
    most = round(_LETTER_PER_OBJECT * typical)
    letter = max(min(usual_letter(size), most), SMALLEST_LETTER)
    letters = []
    while letter > SMALLEST_LETTER:
        letters.append(letter)
        letter = round(letter * _SHRINKING)
    return [*letters, SMALLEST_LETTER, _TINY_LETTER]


def _try(
    size: tuple[int, int], frames: np.ndarray, labels: Sequence[Label], spare: int, distant: bool
) -> np.ndarray | None:
    # Without a trial: what can't fit by area.
    if sum(label.width * label.height for label in labels) > size[0] * size[1]:
        return None
    return place_strictly(frames, labels, size, spare, distant)
