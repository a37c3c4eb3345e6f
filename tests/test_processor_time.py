"""tests/processor_time.py: what computes too long is stopped, what waits is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import subprocess, sys, time
import pytest

COMPUTE = "import time\\nwhile time.process_time() < {}: pass"

def test_waits():
    time.sleep(0.5)

def test_computes_for_ever():
    while True:
        pass

def test_child_computes():
    subprocess.run([sys.executable, "-c", COMPUTE.format(0.5)], check=True)

@pytest.mark.cpu_limit(5)
def test_may_compute_longer():
    subprocess.run([sys.executable, "-c", COMPUTE.format(0.5)], check=True)

@pytest.fixture
def slow():
    exec(COMPUTE.format(time.process_time() + 0.5))

def test_with_a_slow_fixture(slow):
    pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_the_limit_counts_processor_time_with_children(
    repository: Path, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ncpu_limit = 0.3\nmarkers = cpu_limit")
    words = ("-m", "pytest", "-p", "tests.processor_time", "-rA", "--cpu-durations", "0.4")
    ended = subprocess.run(
        [sys.executable, *words, *workers],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    told = ended.stdout + ended.stderr
    found = re.findall(r"^(PASSED|FAILED|ERROR) test_it.py::(\w+)", told, re.MULTILINE)
    assert {test: result for result, test in found} == {
        "test_waits": "PASSED",
        "test_computes_for_ever": "FAILED",
        "test_child_computes": "FAILED",
        "test_may_compute_longer": "PASSED",
        "test_with_a_slow_fixture": "ERROR",
    }, told
    assert told.count("Failed: more than 0.3 s of processor time") >= 3
    listed = re.findall(r"^ +[\d.]+ s  test_it.py::(\w+)", told, re.MULTILINE)
    assert {"test_child_computes", "test_may_compute_longer"} <= set(listed)
    assert "test_waits" not in listed
