"""What is wrong with a dataset: one record per broken rule, and the error that lists them all."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

LISTED_IN_ERROR = 50
_LONGEST_VALUE = 120


@dataclasses.dataclass(frozen=True)
class Problem:
    """One broken rule.

    Attributes:
        file: the file to fix.
        entry: the place in it: an image name, an annotation, a line.
        rule: what should hold; the same text for every entry that breaks it.
        value: what was found instead.
        is_box: only one box is concerned, so that dropping the box cures it.
    """

    file: str
    entry: str
    rule: str
    value: str
    is_box: bool = False

    def __str__(self) -> str:
        text = f"{self.file}: {self.entry}: {self.rule} (got {self.value})"
        # JSON can hold half a character, which no terminal takes.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclasses.dataclass
class ProblemLog:
    """All broken rules that a reader has met so far."""

    problems: list[Problem] = dataclasses.field(default_factory=list)

    def report(self, file: str, entry: str, rule: str, value: str) -> None:
        """Notes a :class:`Problem` that concerns more than one box."""
        self.problems.append(Problem(file, entry, rule, value))


def shown(value: object) -> str:
    """``repr`` of a value from a file, cut to a length that a line can hold."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def count_by_rule(problems: Iterable[Problem]) -> dict[str, int]:
    """Number of problems by rule, the most frequent first."""
    return dict(Counter(problem.rule for problem in problems).most_common())


class DatasetError(ValueError):
    """Datasets broke rules; the message lists the first 50 and counts the rest by rule.

    Attributes:
        problems: all of them.
    """

    place = "the datasets"
    full_list = " (tools/check.py prints all)"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(_message(self.problems, self.place, self.full_list))

    def __reduce__(self) -> tuple[type[DatasetError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class ResultsError(DatasetError):
    """The same of a file of detections."""

    place = "the results"
    full_list = ""


def _message(problems: Sequence[Problem], place: str, full_list: str) -> str:
    number = len(problems)
    lines = [f"{number} {'problem' if number == 1 else 'problems'} in {place}:"]
    lines += [f"  {problem}" for problem in problems[:LISTED_IN_ERROR]]
    if number > LISTED_IN_ERROR:
        lines.append(f"  ... and {number - LISTED_IN_ERROR} more{full_list}")
        lines.append("By rule:")
        lines += [f"  {count:6d}  {rule}" for rule, count in count_by_rule(problems).items()]
    if any(problem.is_box for problem in problems):
        lines.append("DATASETS.DROP_BAD_BOXES True drops bad boxes instead of stopping.")
    return "\n".join(lines)
