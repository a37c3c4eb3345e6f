"""Limits each test by the processor time that it and its children take; lists the long ones.

A limit by the clock fails on a busy machine whatever the test does; that of pytest-timeout is there
for deadlocks alone.

``cpu_limit`` in pyproject.toml is the limit in seconds, ``@pytest.mark.cpu_limit(seconds)`` that of
one test. A test that computes longer is stopped; child processes count once they have ended.
``--cpu-durations`` says from how many seconds on a test is listed in the summary.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Generator
from typing import Any

import pytest

BEGUN = pytest.StashKey[float]()
PROPERTY = "processor seconds"
taken: dict[str, float] = {}


def spent() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def limit_of(item: pytest.Item) -> float:
    """Seconds that the test may take."""
    marker = item.get_closest_marker("cpu_limit")
    return float(marker.args[0] if marker else item.config.getini("cpu_limit"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("cpu_limit", "seconds of processor time that a test may take", default="60")
    parser.addoption(
        "--cpu-durations",
        type=float,
        default=20,
        metavar="SECONDS",
        help="list tests that take at least so much processor time (default: 20)",
    )


def limited(item: pytest.Item) -> Generator[None, Any, Any]:
    """Lets a part of the test run and fails it where the test has taken too much."""
    limit = limit_of(item)
    sentence = f"more than {limit:g} s of processor time, which is the test's cpu_limit"
    left = limit - (spent() - item.stash[BEGUN])

    def stop(*_: Any) -> None:
        pytest.fail(sentence)

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, max(left, 0.001))
    try:
        result = yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if spent() - item.stash[BEGUN] > limit:
        pytest.fail(sentence)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    item.stash[BEGUN] = spent()
    return (yield from limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    if report.when == "teardown":
        # A property goes from a worker of pytest-xdist to the process that prints the summary.
        report.user_properties.append((PROPERTY, spent() - item.stash[BEGUN]))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        taken[report.nodeid] = dict(report.user_properties)[PROPERTY]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    least = config.getoption("--cpu-durations")
    long = sorted((-seconds, test) for test, seconds in taken.items() if seconds >= least)
    terminalreporter.write_sep("=", f"{sum(taken.values()):.0f} s of processor time in tests")
    for seconds, test in long:
        terminalreporter.write_line(f"{-seconds:7.1f} s  {test}")
