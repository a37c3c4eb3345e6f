"""Checks of what a user gave: what each lets pass, and the sentence that it ends in."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import nan

import pytest

from smallobj.checks import (
    check_at_least,
    check_between,
    check_choice,
    check_not_negative,
    check_positive,
    check_some_of,
)


@pytest.mark.parametrize(
    ("ends", "passing", "failing"),
    [
        ("[]", (0, 0.5, 1), (-0.1, 1.1, nan)),
        ("()", (0.5,), (0, 1, nan)),
        ("[)", (0, 0.5), (-0.1, 1, nan)),
        ("(]", (0.5, 1), (0, 1.1, nan)),
    ],
)
def test_an_interval_holds_the_ends_in_square_brackets(
    ends: str, passing: tuple[float, ...], failing: tuple[float, ...]
) -> None:
    for value in passing:
        check_between("KEY", value, 0, 1, ends)
    for value in failing:
        rule = f"KEY must lie in {ends[0]}0, 1{ends[1]}; got {value}"
        with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
            check_between("KEY", value, 0, 1, ends)


@pytest.mark.parametrize(
    ("check", "passing", "failing", "rule"),
    [
        (check_positive, 1e-9, 0, "KEY must be positive; got 0"),
        (check_positive, 1, nan, "KEY must be positive; got nan"),
        (check_not_negative, 0, -1, "KEY must not be negative; got -1"),
        (check_not_negative, 0, nan, "KEY must not be negative; got nan"),
        (lambda name, value: check_at_least(name, value, 2), 2, 1, "KEY must be at least 2; got 1"),
    ],
)
def test_a_bound(
    check: Callable[[str, float], None], passing: float, failing: float, rule: str
) -> None:
    check("KEY", passing)
    with pytest.raises(ValueError, match=f"^{rule}$"):
        check("KEY", failing)


def test_a_choice_names_what_may_be_chosen() -> None:
    check_choice("KEY", "b", ("a", "b"))
    with pytest.raises(ValueError, match=r"^KEY must be one of \['a', 'b'\]; got 'c'$"):
        check_choice("KEY", "c", ("a", "b"))


@pytest.mark.parametrize("values", [[], ["c"], ["a", "c"]])
def test_some_of_the_choices_are_one_or_more_of_them(values: list[str]) -> None:
    check_some_of("KEY", ("b", "a"), {"a": 1, "b": 2})
    rule = re.escape(f"KEY must be some of ['a', 'b']; got {values}")
    with pytest.raises(ValueError, match=f"^{rule}$"):
        check_some_of("KEY", values, {"a": 1, "b": 2})
