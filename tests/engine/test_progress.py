"""The progress line: short, whole, and honest about what isn't known."""

import pytest
from detectron2.utils.events import EventStorage

from smallobj.engine import progress
from smallobj.engine.progress import WIDTH, ProgressLine, progress_line


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    monkeypatch.setattr(progress.torch.cuda, "is_available", lambda: False)


def filled(iteration=39, **scalars):
    storage = EventStorage(iteration)
    storage.put_scalars(smoothing_hint=False, **scalars)
    return storage


def test_everything_that_is_known():
    storage = filled(
        total_loss=1.25,
        loss_cls_stage0=0.25,
        loss_cls_stage1=0.5,
        loss_rpn_cls=0.4,
        loss_rpn_loc=0.1,
        lr=0.00125,
        time=2.5,
        **{"memory/process_peak_mib": 1024.0},
    )
    assert progress_line(storage, 100) == (
        "iter 40/100 | loss 1.25 | cls 0.75 rpn_cls 0.4 rpn_loc 0.1 | lr 0.0013 | 2.5 s/it | "
        "mem 1.1 GB | left 0:02:30"
    )


def test_nothing_is_known():
    line = progress_line(EventStorage(0), None)
    assert line == "iter 1 | loss - | lr - | - s/it | mem - GB | left -"


def test_a_time_limit_tells_the_time_left():
    storage = filled(time=2.5, **{"time/spent_seconds": 100.0})
    assert progress_line(storage, None, 160).endswith("left 0:01:00")


def test_the_largest_losses_stay_where_not_all_fit():
    losses = {f"loss_with_a_long_name_{n}": float(n) for n in range(9)}
    line = progress_line(filled(**losses, total_loss=36.0, time=1e-4), 90000)
    assert len(line) <= WIDTH
    assert "with_a_long_name_8 8" in line
    assert "name_0" not in line


def test_a_line_is_written_once(monkeypatch):
    lines = []
    monkeypatch.setattr(progress.logger, "info", lines.append)
    writer = ProgressLine(41)
    with EventStorage(39) as storage:
        writer.write()
        writer.write()
        storage.iter = 40
        writer.write()
        for storage.iter in (41, 42):  # after the training, and of one that was complete before
            writer.write()
    assert [line.split(" |")[0] for line in lines] == ["iter 40/41", "iter 41/41"]
