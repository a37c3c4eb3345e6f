import os

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from smallobj.scan.scan_log import ScanLog

IDENTITY = {"input file": "a.tif", "weights": "abc", "versions": ["1", "2"]}
SIZE = (50_000, 40_000)


def row(seed, count=5):
    rng = np.random.default_rng(seed)
    found = Instances(SIZE)
    found.pred_boxes = Boxes(torch.from_numpy(rng.uniform(0, 40_000, (count, 4))).float())
    found.scores = torch.from_numpy(rng.random(count)).float()
    found.pred_classes = torch.from_numpy(rng.integers(0, 9, count))
    found.tile = torch.from_numpy(rng.integers(0, 40_000, (count, 4)))
    found.cut = torch.from_numpy(rng.random(count) < 0.5)
    return found


def same(one, other):
    assert one.image_size == other.image_size
    assert one.get_fields().keys() == other.get_fields().keys()
    assert torch.equal(one.pred_boxes.tensor, other.pred_boxes.tensor)
    for name in ("scores", "pred_classes", "tile", "cut"):
        assert one.get(name).dtype == other.get(name).dtype
        assert torch.equal(one.get(name), other.get(name))
    return True


@pytest.fixture
def path(tmp_path):
    """A log of three rows, one of which is empty."""
    path = str(tmp_path / "new" / "scan.progress")
    with ScanLog(path, IDENTITY, resume=False) as log:
        for seed, count in enumerate((5, 0, 3)):
            log.append(row(seed, count))
    return path


def test_rows_come_back_bit_by_bit(path):
    with ScanLog(path, IDENTITY, resume=True) as log:
        assert log.finished == 3
        rows = list(log.rows(SIZE))
        assert all(same(*pair) for pair in zip(rows, (row(0), row(1, 0), row(2, 3)), strict=True))
        log.append(row(7))
    with ScanLog(path, IDENTITY, resume=True) as log:
        assert same(list(log.rows(SIZE))[3], row(7))


def test_a_torn_line_does_not_count(path):
    with open(path, "rb") as stream:
        content = stream.read()
    ends = [number + 1 for number, byte in enumerate(content) if byte == ord("\n")]
    near_ends = {end + step for end in ends for step in (-2, -1, 0, 1)}
    for length in sorted({*range(0, len(content), 29), *near_ends} - {len(content) + 1}):
        with open(path, "wb") as stream:
            stream.write(content[:length])
        whole = max(sum(end <= length for end in ends) - 1, 0)
        with ScanLog(path, IDENTITY, resume=True) as log:
            assert log.finished == whole, length
            # What was torn is out of the way of the next row.
            log.append(row(9, 1))
            rows = list(log.rows(SIZE))
        assert len(rows) == whole + 1
        assert same(rows[-1], row(9, 1))


def test_what_lies_behind_a_spoilt_line_does_not_count(path):
    with open(path, "r+b") as stream:
        lines = stream.read().splitlines(keepends=True)
        stream.seek(len(lines[0]) + 20)
        stream.write(b"#")
    with ScanLog(path, IDENTITY, resume=True) as log:
        assert log.finished == 0
        assert list(log.rows(SIZE)) == []


def test_a_missing_row_ends_the_log(path):
    with open(path, "rb") as stream:
        lines = stream.read().splitlines(keepends=True)
    with open(path, "wb") as stream:
        stream.writelines([lines[0], lines[1], lines[3]])
    with ScanLog(path, IDENTITY, resume=True) as log:
        assert log.finished == 1


def test_another_scan_is_refused_and_the_log_kept(path):
    before = os.path.getsize(path)
    changed = {**IDENTITY, "weights": "xyz", "versions": ["1", "3"]}
    with pytest.raises(ValueError, match="have changed: weights, versions; delete it"):
        ScanLog(path, changed, resume=True)
    with pytest.raises(ValueError, match=r"3 finished rows .* --resume, or delete it"):
        ScanLog(path, IDENTITY, resume=False)
    assert os.path.getsize(path) == before


def test_a_log_without_rows_is_in_nobody_s_way(tmp_path):
    path = str(tmp_path / "scan.progress")
    ScanLog(path, {"weights": "other"}, resume=False).close()
    with ScanLog(path, IDENTITY, resume=False) as log:
        log.append(row(0))
    with ScanLog(path, IDENTITY, resume=True) as log:
        assert log.finished == 1
        log.remove()
    assert not os.path.exists(path)


def test_a_file_that_is_no_log_is_replaced_only_if_nothing_is_lost(tmp_path):
    path = tmp_path / "scan.progress"
    path.write_bytes(b"")
    ScanLog(str(path), IDENTITY, resume=True).close()
    assert path.stat().st_size > 0
