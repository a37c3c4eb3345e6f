"""Which checkpoint a training goes on from, also when files are broken."""

import logging
import os

import pytest
import torch
from torch import nn

from smallobj.checkpoint import SafeCheckpointer
from smallobj.checkpoint.run_checkpoints import find_last_checkpoint, list_checkpoints


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of the iterations 0, 1 and 2, each a minute older than the next."""
    model = nn.Linear(1, 1)
    checkpointer = SafeCheckpointer(model, str(tmp_path))
    for number in range(3):
        nn.init.constant_(model.weight, number)
        checkpointer.save(f"model_{number:07d}", iteration=number)
        os.utime(tmp_path / f"model_{number:07d}.pth", (1000 + 60 * number,) * 2)
    (tmp_path / "model_best.pth").write_bytes(b"newer, but nothing to resume")
    return tmp_path


@pytest.fixture
def told(monkeypatch, caplog):
    for name in ("smallobj", "fvcore"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records if record.levelname != "INFO"]


def resume(folder):
    model = nn.Linear(1, 1)
    found = SafeCheckpointer(model, str(folder)).resume_or_load("", resume=True)
    return found.get("iteration"), model.weight.item()


def names(folder):
    return [os.path.basename(path) for path in list_checkpoints(str(folder))]


def test_the_named_one_comes_first_then_the_newest(folder, told):
    (folder / "last_checkpoint").write_text("model_0000001.pth\n")
    assert names(folder) == ["model_0000001.pth", "model_0000002.pth", "model_0000000.pth"]
    assert resume(folder) == (1, 1.0)
    assert told() == []


@pytest.mark.parametrize("text", ["", "\0\0\0", "model_0000009.pth", "\xff", None])
def test_without_a_name_the_newest_is_taken_with_a_word(folder, told, text):
    if text is None:
        (folder / "last_checkpoint").unlink()
    else:
        (folder / "last_checkpoint").write_bytes(text.encode("latin-1"))
    assert resume(folder) == (2, 2.0)
    (line,) = told()
    assert str(folder / "last_checkpoint") in line
    assert "the newest one is model_0000002.pth" in line


def test_broken_ones_are_named_and_left_out(folder, told):
    whole = (folder / "model_0000002.pth").read_bytes()
    (folder / "model_0000002.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "model_0000001.pth").write_bytes(b"")
    for number in (1, 2):
        os.utime(folder / f"model_{number:07d}.pth", (1000 + 60 * number,) * 2)
    assert resume(folder) == (0, 0.0)
    first, second = told()
    assert "model_0000002.pth: not readable as weights" in first
    assert "model_0000001.pth: not readable as weights" in second
    (folder / "model_0000000.pth").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"model_0000001\.pth: not readable"):
        resume(folder)


def test_an_empty_folder_has_none(tmp_path, told):
    assert find_last_checkpoint(str(tmp_path)) == find_last_checkpoint(str(tmp_path / "no")) == ""
    assert resume(tmp_path)[0] is None
    assert told() == []


def test_a_checkpoint_appears_only_when_it_is_complete(folder, monkeypatch):
    def fail(state, path):
        with open(path, "wb") as file:
            file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(OSError, match="No space left"):
        SafeCheckpointer(nn.Linear(1, 1), str(folder)).save("model_0000003")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "last_checkpoint").read_text() == "model_0000002.pth"
