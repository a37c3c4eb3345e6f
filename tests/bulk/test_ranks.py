import pytest
import torch.distributed as dist

from smallobj.bulk import ranks
from smallobj.bulk.ranks import Board, Rank, Status


@pytest.fixture
def board():
    board = Board(dist.HashStore(), 3)
    for index in range(3):
        board.post(index, Status(ranks.WORKING, done=index))
    return board


def test_each_number_is_claimed_once():
    store = dist.HashStore()
    boards = [Board(store, 2), Board(store, 2)]
    assert [boards[turn % 2].claim() for turn in range(5)] == [0, 1, 2, 3, 4]


def test_what_is_posted_is_read(board):
    board.post(1, Status(ranks.FINISHED, done=7, broken=1, seconds=2.5, beat=9))
    statuses = board.read()
    assert statuses[1] == Status(ranks.FINISHED, 7, 1, 2.5, 9)
    assert [status.done for status in statuses] == [0, 7, 2]


def test_one_that_falls_silent_is_dead(board, monkeypatch):
    now = 100.0
    monkeypatch.setattr(ranks.time, "monotonic", lambda: now)
    board.post(0, Status(ranks.WORKING, beat=1))
    board.post(2, Status(ranks.FINISHED))
    board.read()
    now += ranks.SILENCE_SECONDS + 1
    board.post(0, Status(ranks.WORKING, beat=2))
    states = [status.state for status in board.read()]
    assert states == [ranks.WORKING, ranks.DIED, ranks.FINISHED]
    board.post(1, Status(ranks.WORKING, beat=1))  # it was only slow
    assert board.read()[1].state == ranks.WORKING


def test_a_death_is_told_with_what_was_done_before(board):
    assert board.post_death(2)
    assert board.read()[2] == Status(ranks.DIED, done=2)


def test_a_death_before_the_work_is_told_apart():
    board = Board(dist.HashStore(), 2)
    board.post(0, Status())
    assert not board.post_death(0)
    assert not board.post_death(1)
    assert [status.state for status in board.read()] == [ranks.DIED, ranks.DIED]


def test_a_process_alone_gathers_only_itself():
    assert Rank().gather({"a": 1}) == [{"a": 1}]
