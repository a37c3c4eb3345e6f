import time

import torch.distributed as dist

from smallobj.bulk import ranks
from smallobj.bulk.heartbeat import Heartbeat
from smallobj.bulk.ranks import Board, Status


def test_one_process_waits_for_the_others_and_counts_their_images(capsys):
    board = Board(dist.HashStore(), 3)
    board.post(1, Status(ranks.WORKING, done=1))
    board.post(2, Status(ranks.WORKING, done=3))
    status = Status(ranks.WORKING)
    with Heartbeat(board, 0, status, total=12, initial=4) as heartbeat:
        status.done = 2
        heartbeat.finish(ranks.FINISHED)
        board.post(1, Status(ranks.FINISHED, done=3))
        board.post_death(2)
        statuses = heartbeat.wait_for_all()
    assert [s.state for s in statuses] == [ranks.FINISHED, ranks.FINISHED, ranks.DIED]
    assert [s.done for s in statuses] == [2, 3, 3]
    assert "12/12" in capsys.readouterr().err


def test_it_beats_by_itself(monkeypatch):
    monkeypatch.setattr("smallobj.bulk.heartbeat._BEAT_SECONDS", 0.01)
    board = Board(dist.HashStore(), 1)
    status = Status(ranks.WORKING)
    with Heartbeat(board, 0, status, total=1, initial=0):
        before = board.read()[0].beat
        deadline = time.monotonic() + 60
        while board.read()[0].beat < before + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert board.read()[0].beat >= before + 3


def test_the_time_of_a_process_ends_with_its_work():
    board = Board(dist.HashStore(), 1)
    with Heartbeat(board, 0, Status(ranks.WORKING), total=1, initial=0) as heartbeat:
        heartbeat.finish(ranks.FAILED)
        seconds = board.read()[0].seconds
        time.sleep(0.02)
        heartbeat.post()
    assert board.read()[0].seconds == seconds > 0
