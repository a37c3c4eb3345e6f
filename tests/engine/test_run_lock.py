"""Two trainings never write into one folder at once; a killed one blocks nothing."""

import errno
import logging
import os
import signal
import subprocess
import sys

import pytest

from smallobj.engine import run_lock
from smallobj.engine.run_lock import LOCK_FILE, lock_run, refuse_locked_folder


def test_a_second_holder_is_refused_by_the_first_ones_number(tmp_path):
    with lock_run(str(tmp_path)):
        for take in (lambda: lock_run(str(tmp_path)).__enter__(), lambda: refuse(tmp_path)):
            with pytest.raises(ValueError, match="another training") as error:
                take()
            assert f"process {os.getpid()} on " in str(error.value)
    with lock_run(str(tmp_path)):
        pass
    refuse(tmp_path)


def refuse(folder):
    refuse_locked_folder(str(folder))


def test_looking_writes_nothing(tmp_path):
    refuse(tmp_path)
    refuse(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_the_lock_ends_with_its_process_though_its_children_live(tmp_path):
    # Run by path: the package imports what takes seconds.
    holder = f"""
import importlib.util, os, sys, time, types
comm = types.SimpleNamespace(is_main_process=lambda: True)
sys.modules["detectron2.utils"] = types.SimpleNamespace(comm=comm)
spec = importlib.util.spec_from_file_location("run_lock", {run_lock.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.lock_run({str(tmp_path)!r}):
    if not os.fork():
        # The child itself, which then has left the lock: the parent may come first.
        print(os.getpid(), flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(ValueError, match=f"process {process.pid} on "):
            refuse(tmp_path)
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        with lock_run(str(tmp_path)):
            assert str(os.getpid()) in (tmp_path / LOCK_FILE).read_text()
    finally:
        process.kill()
        os.kill(child, signal.SIGKILL)


def test_without_locks_the_training_goes_on_with_a_word(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_lock.fcntl, "flock", fail)
    monkeypatch.setattr(logging.getLogger("smallobj"), "propagate", True)
    refuse(tmp_path)
    with lock_run(str(tmp_path)):
        pass
    assert "can't be locked (No locks available)" in caplog.text
    monkeypatch.setattr(run_lock, "fcntl", None)
    with lock_run(str(tmp_path)):
        pass


def test_only_the_main_process_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock.comm, "is_main_process", lambda: False)
    with lock_run(str(tmp_path)), lock_run(str(tmp_path)):
        assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"can't be written to.*give another OUTPUT_DIR"),
        lock_run(str(tmp_path / "file" / "run")),
    ):
        pass
