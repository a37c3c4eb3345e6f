"""Problems of a dataset: one record per broken rule, and the error that lists them all."""

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
        rule: the rule; the same text for every entry that breaks it.
        value: the value that breaks the rule.
        is_box: the problem concerns only one box, so dropping the box solves it.
    """

    file: str
    entry: str
    rule: str
    value: str
    is_box: bool = False

    def __str__(self) -> str:
        text = f"{self.file}: {self.entry}: {self.rule} (got {self.value})"
        # JSON can contain half of a surrogate pair, which can't be printed.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclasses.dataclass
class ProblemLog:
    """All problems that a reader has reported so far."""

    problems: list[Problem] = dataclasses.field(default_factory=list)

    def report(self, file: str, entry: str, rule: str, value: str) -> None:
        """Adds a :class:`Problem` that concerns more than one box."""
        self.problems.append(Problem(file, entry, rule, value))


def shown(value: object) -> str:
    """``repr`` of a value from a file, cut to 120 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def count_by_rule(problems: Iterable[Problem]) -> dict[str, int]:
    """Number of problems by rule, the most frequent first."""
    return dict(Counter(problem.rule for problem in problems).most_common())


class DatasetError(ValueError):
    """Datasets break rules; the message lists 50 problems and, if there are more, counts by rule.

    Attributes:
        problems: all problems.
    """

    place = "the datasets"
    full_list = " (tools/check.py prints all)"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(_message(self.problems, self.place, self.full_list))

    def __reduce__(self) -> tuple[type[DatasetError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class ResultsError(DatasetError):
    """The same for a file of detections."""

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
