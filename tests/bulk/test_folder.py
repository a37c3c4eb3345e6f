import os

import pytest

from smallobj.bulk.folder import RunFolder
from smallobj.bulk.records import RecordWriter

IDENTITY = {"weights": "abc", "threads": 1, "classes": ["nut"]}
PATHS = [f"{number}.jpg" for number in range(11)]


@pytest.fixture
def folder(tmp_path):
    return RunFolder(str(tmp_path / "results"))


def test_a_new_run_has_everything_to_do(folder):
    plan = folder.prepare(IDENTITY, PATHS, resume=False)
    assert plan.attempt == 1
    assert plan.todo(11).tolist() == list(range(11))
    assert list(folder.paths()) == PATHS
    assert plan.images == folder.paths().digest


@pytest.mark.parametrize("paths", [PATHS, None])
def test_a_resumed_run_does_the_rest_and_the_broken_ones_again(folder, paths):
    folder.prepare(IDENTITY, PATHS, resume=True)
    for rank, indices in enumerate([(9, 1), (2, 8)]):
        writer = RecordWriter(folder.part(1, rank, 2))
        for index in indices:
            writer.write(index, {"error": ""} if index == 8 else {"detections": []})
    plan = folder.prepare(IDENTITY, paths, resume=True)
    assert plan.attempt == 2
    assert plan.todo(11).tolist() == [0, 3, 4, 5, 6, 7, 8, 10]


def test_attempts_are_ordered_by_number(folder):
    folder.prepare(IDENTITY, PATHS, resume=False)
    for attempt, word in ((999, "old"), (1000, "new")):
        RecordWriter(folder.part(attempt, 0, 1)).write(0, {"file": word, "error": word})
    assert b"new" in folder.records().line(0)
    assert folder.prepare(IDENTITY, PATHS, resume=True).attempt == 1001


def test_a_second_run_in_the_same_folder_must_say_resume(folder):
    folder.prepare(IDENTITY, PATHS, resume=False)
    with pytest.raises(ValueError, match="holds a run already; --resume"):
        folder.prepare(IDENTITY, PATHS, resume=False)


@pytest.mark.parametrize(
    ("change", "paths", "message"),
    [
        ({"weights": "abd"}, PATHS, "other weights"),
        ({"threads": 2}, PATHS, "another number of --threads;.*1 then, 2 now"),
        ({}, PATHS[:-1], "another list of images"),
        ({"classes": ["bolt"], "threads": 4}, PATHS, "threads, other class|class.*threads"),
    ],
)
def test_two_runs_are_never_mixed(folder, change, paths, message):
    folder.prepare(IDENTITY, PATHS, resume=False)
    with pytest.raises(ValueError, match=message):
        folder.prepare({**IDENTITY, **change}, paths, resume=True)


def test_a_list_that_was_changed_by_hand_is_another_list(folder):
    folder.prepare(IDENTITY, PATHS, resume=False)
    with open(folder.list_file, "a") as stream:
        stream.write("more.jpg\n")
    with pytest.raises(ValueError, match="another list of images"):
        folder.prepare(IDENTITY, None, resume=True)


def test_there_is_nothing_to_resume_without_a_list(folder):
    with pytest.raises(ValueError, match="no run to resume; give --input"):
        folder.prepare(IDENTITY, None, resume=True)


def test_a_run_that_was_killed_while_it_was_made_is_made_anew(folder):
    folder.prepare(IDENTITY, PATHS, resume=False)
    os.remove(folder.identity_file)
    assert folder.prepare(IDENTITY, PATHS[:3], resume=False).todo(3).tolist() == [0, 1, 2]
