"""benchmarks.report: aligned text, and a round trip through JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pairing import Timing
from benchmarks.report import Report, Table, describe_machine, seconds_of


def report() -> Report:
    table = Table(
        "Speeds", ["", "s", "ratio"], [["a", 0.123456, None], ["b", 2345.6, "2.0"]], ["n"]
    )
    return Report("inference", {"runs": 5}, {"threads": 2}, [table], {"a": [1.0]})


def test_numbers_have_three_digits_and_missing_values_a_dash() -> None:
    lines = report().tables[0].text().splitlines()
    assert lines[0] == "Speeds"
    assert lines[4].split() == ["a", "0.123", "-"]
    assert lines[5].split() == ["b", "2346", "2.0"]
    assert lines[6] == "- n"


def test_a_written_report_prints_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "report.json")
    report().write(path)
    assert Report.read(path) == report()
    assert Report.read(path).text() == report().text()


@pytest.mark.parametrize("text", ["no json", "[]", '{"tables": []}', '{"a": 1}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a report"):
        Report.read(str(path))


def test_machine_states_what_times_depend_on() -> None:
    machine = describe_machine()
    assert {"processor", "cores", "threads", "torch", "load at the start"} <= set(machine)
    assert machine["processor"]


def test_raw_seconds_by_name() -> None:
    assert seconds_of([Timing("a", (1.0, 2.0), 3)]) == {"a": [1.0, 2.0]}
