"""Problems of a dataset: a record per broken rule, and the error that lists them all.

``Changes`` counts what was fixed or dropped; every tool prints its lines.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.rules import DROP, ERROR, Rule

LISTED_IN_ERROR = 50
_LONGEST_VALUE = 120


@dataclasses.dataclass(frozen=True)
class Problem:
    """One broken rule.

    Attributes:
        file: the file to fix.
        entry: the place in it: an image name, an annotation, a line.
        rule: the rule; a text for what can only be an error.
        value: the value that breaks the rule.
    """

    file: str
    entry: str
    rule: Rule | str
    value: str

    def __str__(self) -> str:
        text = f"{self.file}: {self.entry}: {self.rule} (got {self.value})"
        # JSON can contain half of a surrogate pair, which can't be printed.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Changes:
    """What a reader has fixed or dropped: a count and the first case by rule and action."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Rule, str]] = Counter()
        self.first: dict[tuple[Rule, str], Problem] = {}

    def add(self, problem: Problem, action: str) -> None:
        """Counts a problem about which ``action`` was taken."""
        assert isinstance(problem.rule, Rule)  # a text is an error, nothing is changed about it
        key = (problem.rule, action)
        self.counts[key] += 1
        self.first.setdefault(key, problem)

    def merge(self, other: Changes) -> None:
        """Adds the counts of another reading."""
        self.counts.update(other.counts)
        for key, problem in other.first.items():
            self.first.setdefault(key, problem)

    def lines(self) -> list[str]:
        """One line a rule, the most frequent first, each with its first case.

        >>> from smallobj.data.labels.rules import INSIDE_BOX
        >>> changes = Changes()
        >>> changes.add(Problem("l.json", "annotations[3]", INSIDE_BOX, "..."), "fix")
        >>> changes.lines()[0][:45]
        'box clipped: 1 (box-over-edge: a box must lie'
        """
        return [
            f"{rule.done(action)}: {count} ({rule.name}: {rule}); first {_place(key, self.first)}"
            for key, count in self.counts.most_common()
            for rule, action in [key]
        ]

    def __bool__(self) -> bool:
        return bool(self.counts)


def _place(key: tuple[Rule, str], first: dict[tuple[Rule, str], Problem]) -> str:
    problem = first[key]
    text = f"{problem.file}: {problem.entry} (got {problem.value})"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclasses.dataclass
class ProblemLog:
    """All problems that a reader has reported so far.

    Attributes:
        problems: those that are errors.
        policy: says which are errors.
        changes: counts of the others.
    """

    problems: list[Problem] = dataclasses.field(default_factory=list)
    policy: Policy = dataclasses.field(default_factory=Policy)
    changes: Changes = dataclasses.field(default_factory=Changes)

    def report(self, file: str, entry: str, rule: Rule | str, value: str) -> str:
        """Records that an entry breaks a rule.

        Args:
            file, entry, value: as in :class:`Problem`.
            rule: a text for what can only be an error, such as an unreadable file.

        Returns:
            What the caller does about it: "fix"; or "drop" and "error", which both leave it out.
        """
        problem = Problem(file, entry, rule, value)
        action = ERROR if isinstance(rule, str) else self.policy.action(rule)
        if action == ERROR:
            self.problems.append(problem)
        else:
            self.changes.add(problem, action)
        return action


def shown(value: object) -> str:
    """``repr`` of a value from a file, cut to 120 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def count_by_rule(problems: Iterable[Problem]) -> dict[str, int]:
    """Number of problems by rule, the most frequent first."""
    return dict(Counter(str(problem.rule) for problem in problems).most_common())


class DatasetError(ValueError):
    """Datasets break rules; the message lists 50 problems and, if there are more, counts by rule.

    Attributes:
        problems: all problems.
    """

    place = "the datasets"
    full_list = " (tools/check.py prints all)"
    # DATASETS.RULES are about labels.
    offers_rules = True

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        text = _message(self.problems, self.place, self.full_list)
        ways = ways_on(problems) if self.offers_rules else ""
        super().__init__(text + (f"\nDATASETS.RULES can say otherwise: {ways}." if ways else ""))

    def __reduce__(self) -> tuple[type[DatasetError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class ResultsError(DatasetError):
    """The same for a file of detections."""

    place = "the results"
    full_list = ""
    offers_rules = False


def _message(problems: Sequence[Problem], place: str, full_list: str) -> str:
    number = len(problems)
    lines = [f"{number} {'problem' if number == 1 else 'problems'} in {place}:"]
    lines += [f"  {problem}" for problem in problems[:LISTED_IN_ERROR]]
    if number > LISTED_IN_ERROR:
        lines.append(f"  ... and {number - LISTED_IN_ERROR} more{full_list}")
        lines.append("By rule:")
        lines += [f"  {count:6d}  {rule}" for rule, count in count_by_rule(problems).items()]
    return "\n".join(lines)


def ways_on(problems: Iterable[Problem]) -> str:
    """The choices that would let these problems pass, such as "box-empty=drop"; "" if none would.

    A rule that can be fixed is offered to be fixed first.
    """
    rules = dict.fromkeys(p.rule for p in problems if isinstance(p.rule, Rule))
    choices = [f"{rule.name}={'|'.join(rule.actions[1:])}" for rule in rules if rule.actions[1:]]
    if any(DROP in rule.actions for rule in rules) and len(choices) > 1:
        choices.append("all=drop")
    return ", ".join(choices)
