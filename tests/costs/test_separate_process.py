"""smallobj.costs.separate_process: every way a process can end."""

from __future__ import annotations

import math
import os
import time

import pytest

from smallobj.costs.separate_process import RunFailed, as_sentence, run_apart


def test_the_result_comes_from_another_process() -> None:
    assert run_apart(math.factorial, 5, seconds=200) == 120
    assert run_apart(os.getpid, seconds=200) != os.getpid()


def test_a_large_result_is_complete() -> None:
    # More than the buffer of a pipe, so both sides could wait for each other.
    assert len(run_apart(bytes, 1 << 22, seconds=200)) == 1 << 22


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ValueError, match=r"^math domain error$"):
        run_apart(math.sqrt, -1)


class NeedsTwo(Exception):
    """Cannot be unpickled, since only the message is pickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one}\n{two}")


def fail() -> None:
    raise NeedsTwo("first", "second")


def test_an_error_that_cannot_be_pickled_becomes_its_type_and_first_line() -> None:
    with pytest.raises(RunFailed, match=r"^NeedsTwo: first$"):
        run_apart(fail)


def test_errors_as_sentences() -> None:
    assert as_sentence(RunFailed("took longer than 9 s")) == "took longer than 9 s"
    assert as_sentence(ValueError("one\ntwo")) == "ValueError: one"
    assert as_sentence(ValueError()) == "ValueError: "


def test_a_process_that_dies_is_reported() -> None:
    with pytest.raises(RunFailed, match="ended with status 3"):
        run_apart(os._exit, 3, seconds=200)


def test_a_process_that_takes_too_long_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(RunFailed, match=r"longer than 0\.5 s"):
        run_apart(time.sleep, 100, seconds=0.5)
    assert time.monotonic() - start < 60
