"""One line of a YOLO label file: a box, a polygon, an oriented box or a box with keypoints.

All coordinates are shares of the image's sides. A polygon of four points and an oriented box are
written alike and read alike. Formats: Ultralytics' pages on detection, segmentation, OBB and pose.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

from smallobj.data.labels.rules import CLASS_BY_NAME, FIX, Rule, rule

LINE_RULE = rule(
    "yolo-line",
    "a line must hold a class and four numbers, cx cy w h, or at least three points, "
    "x1 y1 x2 y2 x3 y3 ...; of detections a score from 0 to 1 at its end",
    dropped="box",
)
SHARE_RULE = rule(
    "yolo-share", "coordinates must be shares of the image's sides, from 0 to 1", dropped="box"
)
SCORE_RULE = rule("yolo-score", "a label must have no score", fixed="score left out", dropped="box")
COMMA_RULE = rule(
    "yolo-comma",
    "numbers must be written with a point and parted by blanks",
    FIX,
    fixed="commas and semicolons understood",
    dropped="box",
)
UNTOLD_KEYPOINTS = rule(
    "yolo-keypoints",
    "a line that may hold keypoints needs kpt_shape in the data.yaml, which tells their number; "
    "with another number than that it is not understood",
    fixed="box taken, the numbers behind it left out",
    dropped="box",
)
KEYPOINTS_RULE = rule(
    "keypoints-left-out",
    "keypoints are not read",
    FIX,
    fixed="box taken, keypoints left out",
    dropped="box",
)
# Shares beyond the edges, of rotated or pasted objects, are clipped; further off they are pixels.
_FURTHEST = 0.5


@dataclasses.dataclass(frozen=True)
class LineForm:
    """What the lines of a data set may hold.

    Attributes:
        scores: lines may end with a score.
        keypoints: number of keypoints and of values each; None: they have none.
        names: class names, which may stand in place of the numbers.
    """

    scores: bool = False
    keypoints: tuple[int, int] | None = None
    names: Collection[str] = ()


@dataclasses.dataclass
class Line:
    """What a line says.

    Attributes:
        class_value: class id, or a class name.
        box: cx, cy, w, h; None of a polygon.
        points: x1, y1, x2, y2, ... of a polygon; None of a box.
        score: of a detection; None of a label.
        rules: those that the line breaks, and that leave it readable.
    """

    class_value: float | str
    box: Sequence[float] | None = None
    points: list[float] | None = None
    score: float | None = None
    rules: list[Rule] = dataclasses.field(default_factory=list)


def parse_line(text: str, form: LineForm) -> Line | Rule:
    """The line, or the rule for which it can't be read.

    >>> parse_line("1 0.5 0.5 0.1 0.2", LineForm()).box
    [0.5, 0.5, 0.1, 0.2]
    >>> parse_line("1 0,1 0,1 0,3 0,1 0,3 0,2", LineForm()).points
    [0.1, 0.1, 0.3, 0.1, 0.3, 0.2]
    """
    rules = []
    try:
        class_value: float | str
        class_value, *values = map(float, text.split())
    except ValueError:
        words, has_commas = _words(text)
        found = _named(words, form.names)
        if found is None:
            return LINE_RULE
        class_value, values = found
        rules += [COMMA_RULE] * has_commas + [CLASS_BY_NAME] * isinstance(class_value, str)
    shaped = _shaped(values, form)
    if isinstance(shaped, Rule):
        return shaped
    numbers = shaped.box or shaped.points or ()
    # An infinite or missing number is reported as that, by the rules of boxes.
    if any(abs(value - 0.5) > 0.5 + _FURTHEST and math.isfinite(value) for value in numbers):
        return SHARE_RULE
    shaped.class_value = class_value
    shaped.rules = rules + shaped.rules
    return shaped


def _words(text: str) -> tuple[list[str], bool]:
    """The words of a line that is no row of numbers, with points for decimal commas."""
    words = text.split()
    if ";" in text:
        words = [word.strip() for word in text.strip().strip(";").split(";")]
    elif len(words) == 1 and "." in text:  # without a point, each comma might be a decimal one
        words = text.strip().strip(",").split(",")
    elif all(word.endswith(",") for word in words[:-1]):
        words = [word.rstrip(",") for word in words]
    changed = [
        word.replace(",", ".") if word.count(",") == 1 and "." not in word else word
        for word in words
    ]
    return changed, changed != text.split()


def _named(words: list[str], names: Collection[str]) -> tuple[float | str, list[float]] | None:
    """Class and numbers of a line; a class name may consist of several words."""
    try:
        return float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        pass
    for end in range(1, len(words)):
        name = " ".join(words[:end])
        if name in names:
            try:
                return name, [float(word) for word in words[end:]]
            except ValueError:
                continue
    return None


def _shaped(values: list[float], form: LineForm) -> Line | Rule:
    """What the numbers behind the class are, by how many there are."""
    number = len(values)
    if form.keypoints is not None and number > 5:
        behind = number - 4 - form.keypoints[0] * form.keypoints[1]
        if behind not in (0, int(form.scores)):
            return _with_keypoints(values, None, UNTOLD_KEYPOINTS)
        score = values[-1] if behind else None
        return _scored(_with_keypoints(values, score, KEYPOINTS_RULE), form)
    if number == 4:
        return Line(-1, box=values)
    if number == 5:
        return _scored(Line(-1, box=values[:4], score=values[4]), form)
    if number >= 6 and number % 2 == 0 and not _has_visibilities(values):
        return Line(-1, points=values)
    if number >= 7 and number % 2 and form.scores:
        return _scored(Line(-1, points=values[:-1], score=values[-1]), form)
    return _with_keypoints(values, None, UNTOLD_KEYPOINTS) if number >= 6 else LINE_RULE


def _with_keypoints(values: list[float], score: float | None, broken: Rule) -> Line:
    return Line(-1, box=values[:4], score=score, rules=[broken])


def _scored(line: Line, form: LineForm) -> Line | Rule:
    if line.score is None:
        return line
    if not 0 <= line.score <= 1:
        return LINE_RULE
    if not form.scores:
        line.rules.append(SCORE_RULE)
        line.score = None
    return line


def _has_visibilities(values: list[float]) -> bool:
    """Whether the numbers are box and keypoints: each third one behind the box is just 0, 1 or 2.

    A polygon has points in their place, all of which would have to lie on an edge of the image.
    """
    if len(values) < 10 or len(values) % 3 != 1:
        return False
    is_whole = [value in (0, 1, 2) for value in values]
    return all(is_whole[6::3]) and not all(is_whole)
