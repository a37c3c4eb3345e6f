"""The console is short and without colours where they don't belong; log.txt has everything."""

import io
import logging
import re
import sys

import pytest

from smallobj.engine import run_log
from smallobj.engine.run_log import FILE_ONLY, start_console, start_log


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def loggers():
    """The handlers of other tests come back."""
    loggers = [logging.getLogger(name) for name in run_log._LOGGERS]
    before = [(list(each.handlers), each.level, each.propagate) for each in loggers]
    yield
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.fixture
def log(tmp_path, capsys):
    """``log(name, message, level, ...)``; then ``log.console()`` and ``log.file()``."""
    start_console()
    start_log(str(tmp_path))

    def write(name, message, *values, level=logging.INFO, **named):
        logging.getLogger(name).log(level, message, *values, **named)

    write.console = lambda: capsys.readouterr().out
    write.file = lambda: (tmp_path / "log.txt").read_text()
    return write


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("detectron2.data.build", "Distribution of instances among all 30 categories:\n|a|"),
        ("detectron2.data.common", "Serializing 3 elements to byte tensors"),
        ("detectron2.utils.events", " eta: 0:00:08  iter: 39"),
        ("detectron2.evaluation.testing", "copypaste: AP,AP50"),
        ("detectron2.evaluation.evaluator", "Start inference on 3 batches"),
        ("smallobj.evaluation.evaluators.analysis", "sizes:\n|  AP50  |\n"),
    ],
)
def test_noise_is_for_the_file_only(log, name, message):
    log(name, message)
    assert log.console() == ""
    assert message in log.file()


def test_what_matters_is_on_both(log):
    log("smallobj.engine.trainer", "q_val: bbox/AP50 %s", 25)
    log("detectron2.data.common", "something is odd", level=logging.WARNING)
    log("smallobj.evaluation.evaluators.coco", "q_test has no labels: nothing to evaluate")
    log("smallobj.engine.setup", "environment", extra=FILE_ONLY)
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in log.console().splitlines()]
    assert lines == [
        "q_val: bbox/AP50 25",
        "WARNING something is odd",
        "q_test has no labels: nothing to evaluate",
    ]
    assert len(log.file().splitlines()) == 4


def test_a_traceback_goes_to_the_file(log):
    try:
        raise ValueError("it is broken")
    except ValueError:
        logging.getLogger("detectron2.engine.train_loop").exception("Exception during training:")
    assert log.console() == ""
    assert "Traceback" in log.file()


def test_progress_of_an_evaluation_comes_once_a_minute(log, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(run_log.time, "monotonic", lambda: now)
    for now in (1000.0, 1005.0, 1059.0, 1061.0, 1070.0):
        log("detectron2.evaluation.evaluator", f"Inference done at {now}")
    assert re.findall(r"at (\d+)", log.console()) == ["1000", "1061"]
    assert len(log.file().splitlines()) == 5


def test_what_comes_before_the_folder_is_known_is_in_the_file_too(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    start_console()
    logging.getLogger("smallobj.data").info("q_train: 6 images")
    start_log(str(tmp_path / "run"))
    assert "q_train: 6 images" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize(("no_color", "colours"), [("", True), ("1", False)])
def test_colours_are_for_terminals(tmp_path, monkeypatch, no_color, colours):
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    start_log(str(tmp_path))
    logging.getLogger("smallobj.x").warning("look")
    assert ("\033[" in terminal.getvalue()) == colours
    assert "\033" not in (tmp_path / "log.txt").read_text()


def test_several_processes_have_a_file_each_and_one_console(tmp_path, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(run_log.comm, "get_rank", lambda: 1)
    monkeypatch.setattr(run_log.comm, "is_main_process", lambda: False)
    start_log(str(tmp_path))
    logging.getLogger("smallobj.x").info("hello")
    assert out.getvalue() == ""
    assert "hello" in (tmp_path / "log.txt.rank1").read_text()
