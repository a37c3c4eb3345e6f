"""Rules for labels in all formats: their names, and what is done about what breaks them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

ERROR, FIX, DROP = ACTIONS = ("error", "fix", "drop")

# A box may extend beyond its image by this many pixels (labelling tools round); it is clipped.
TOLERANCE = 1.0


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule that labels keep or break.

    Attributes:
        name: in DATASETS.RULES.
        text: what must hold; the same for every entry that breaks it.
        action: what is done unless DATASETS.RULES says otherwise: "error", "fix" or "drop".
        fixed: what fixing did, such as "box clipped"; "" if it cannot be fixed.
        dropped: what dropping leaves out, such as "box"; "" if nothing can be left out.
    """

    name: str
    text: str
    action: str = ERROR
    fixed: str = ""
    dropped: str = ""

    def __str__(self) -> str:
        return self.text

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that may be chosen."""
        return (ERROR, *([FIX] if self.fixed else []), *([DROP] if self.dropped else []))

    def done(self, action: str) -> str:
        """What was done, such as "box clipped" or "image dropped"."""
        return self.fixed if action == FIX else f"{self.dropped} dropped"


RULES: dict[str, Rule] = {}


def rule(name: str, text: str, action: str = ERROR, *, fixed: str = "", dropped: str = "") -> Rule:
    """Makes a :class:`Rule` that DATASETS.RULES knows."""
    made = Rule(name, text, action, fixed, dropped)
    assert name not in RULES, name
    assert action in made.actions, name
    RULES[name] = made
    return made


FINITE_BOX = rule("box-not-finite", "a box must consist of finite numbers", dropped="box")
POSITIVE_BOX = rule("box-empty", "a box must have positive width and height", dropped="box")
INSIDE_BOX = rule(
    "box-over-edge",
    f"a box must lie inside its image (tolerance {TOLERANCE:g} px)",
    FIX,
    fixed="box clipped",
    dropped="box",
)
OUTSIDE_BOX = rule(
    "box-outside",
    "no more than DATASETS.MAX_OUTSIDE of a box's area may lie outside its image",
    dropped="box",
)
DUPLICATE_BOX = rule(
    "box-duplicate",
    "an object may be labelled once",
    FIX,
    fixed="copy of a box left out",
    dropped="box",
)
KNOWN_CLASS = rule("class-unknown", "the class must be a known one", dropped="box")
SHAPE_ENCLOSED = rule(
    "shape-enclosed",
    "a shape that isn't an upright box becomes the box around it",
    FIX,
    fixed="shape read as the box around it",
    dropped="shape",
)
OBJECT_DIFFICULT = rule(
    "object-difficult",
    "a difficult object is neither learned nor missed",
    FIX,
    fixed="difficult object read as a crowd region",
    dropped="difficult object",
)
OBJECT_IGNORED = rule(
    "object-ignored",
    "an ignored object or region is neither learned nor missed",
    FIX,
    fixed="ignored object or region read as a crowd region",
    dropped="ignored object or region",
)
CLASS_BY_NAME = rule(
    "class-by-name",
    "the class must be a number",
    FIX,
    fixed="class found by its name",
    dropped="box",
)
CLASS_NAME_TEXT = rule(
    "class-name-text",
    "a class name must be a text",
    FIX,
    fixed="class name read as it is written",
)
CLASS_COUNT = rule(
    "class-count", "nc must be the number of class names", FIX, fixed="nc passed over"
)
CLASS_NAMES_GIVEN = rule(
    "class-names-missing", "classes must have names", FIX, fixed="classes named by their numbers"
)
IMAGE_TWICE = rule(
    "image-twice",
    "an image may be listed once",
    fixed="image entry merged with the first of its name",
    dropped="image",
)
IMAGE_EXISTS = rule("image-missing", "the image file must exist", dropped="image")
IMAGE_READABLE = rule("image-unreadable", "the image file must be readable", dropped="image")


def is_number(value: object) -> bool:
    """Whether a value from a file is a number; booleans are not.

    >>> is_number(3), is_number(True), is_number("3")
    (True, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def to_float(value: int | float) -> float:
    """The value as a float; infinite if it is an integer too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def class_index(value: int | float, number: int) -> int | None:
    """The class as an index in [0, number); None if it isn't one."""
    value = to_float(value)
    if not math.isfinite(value) or value != int(value) or not 0 <= value < number:
        return None
    return int(value)


def broken_box_rule(
    box: Sequence[float], size: tuple[int, int] | None, max_outside: float = 1.0
) -> Rule | None:
    """The rule that a box breaks, or None.

    Args:
        box: (x, y, w, h) in pixels, (x, y) the top left corner.
        size: (h, w) of the image; None: don't check that the box is inside.
        max_outside: the largest share of the box's area that may lie outside, in [0, 1].

    >>> print(broken_box_rule([0.0, 0.0, 5.0, 0.0], (10, 10)))
    a box must have positive width and height
    >>> broken_box_rule([-4.0, 0.0, 5.0, 5.0], (10, 10), max_outside=0.5).name
    'box-outside'
    """
    x, y, w, h = box
    if not all(math.isfinite(value) for value in (x, y, w, h, x + w, y + h)):
        return FINITE_BOX
    if w <= 0 or h <= 0:
        return POSITIVE_BOX
    if size is None:
        return None
    beyond = max(-x, -y, x + w - size[1], y + h - size[0])
    _, _, clipped_w, clipped_h = clip_box(box, size)
    if clipped_w <= 0 or clipped_h <= 0:
        return OUTSIDE_BOX
    if beyond <= TOLERANCE:
        return None
    outside = 1 - (clipped_w / w) * (clipped_h / h)
    return OUTSIDE_BOX if outside > max_outside else INSIDE_BOX


def clip_box(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """The part of an (x, y, w, h) box inside an image of size (h, w); unchanged if it is inside.

    >>> clip_box([8.0, -0.5, 4.0, 3.5], (10, 10))
    [8.0, 0.0, 2.0, 3.0]
    """
    x, y, w, h = box
    if x >= 0 and y >= 0 and x + w <= size[1] and y + h <= size[0]:
        return [x, y, w, h]
    left, top = max(x, 0.0), max(y, 0.0)
    return [left, top, min(x + w, size[1]) - left, min(y + h, size[0]) - top]
