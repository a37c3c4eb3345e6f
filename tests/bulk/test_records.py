import json

import numpy as np
import pytest

from smallobj.bulk.records import Records, RecordWriter


def write(path, *records):
    writer = RecordWriter(str(path))
    for index, record in records:
        writer.write(index, record)
    writer.close()
    return str(path)


def found(word):
    return {"file": word, "detections": []}


def test_records_come_back_in_any_order(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    files = [
        write(tmp_path / "a", (3, found("d")), (0, found(name))),
        write(tmp_path / "b"),
        write(tmp_path / "c", (1, {"file": "ü", "error": "broken"})),
    ]
    records = Records(5, files)
    assert records.found.tolist() == [True, True, False, True, False]
    assert records.broken.tolist() == [False, True, False, False, False]
    assert [json.loads(records.line(i))["file"] for i in (0, 1, 3)] == [name, "ü", "d"]
    assert records.torn == 0
    with pytest.raises(KeyError):
        records.line(2)


def test_a_line_is_on_disk_before_the_next(tmp_path):
    writer = RecordWriter(str(tmp_path / "a"))
    for index in range(3):
        writer.write(index, found("x"))
        assert len((tmp_path / "a").read_bytes().splitlines()) == index + 1


def test_a_torn_line_does_not_count_wherever_it_is_torn(tmp_path):
    whole = write(tmp_path / "a", (0, found("x")), (1, found("y")))
    content = (tmp_path / "a").read_bytes()
    first = content.index(b"\n") + 1
    for end in range(first + 1, len(content)):
        (tmp_path / "a").write_bytes(content[:end])
        records = Records(2, [whole])
        assert records.found.tolist() == [True, False], end
        assert records.torn == 1


@pytest.mark.parametrize(
    "line",
    [
        *(b"\0\0\0", b"[1]", b"{}", b"\xff", b'{"index": 0}'),
        *(b'{"index": 7, "error": ""}', b'{"index": -1, "error": ""}'),
        *(b'{"index": "0", "error": ""}', b'{"index": true, "error": ""}'),
    ],
)
def test_a_line_that_is_no_record_does_not_count(tmp_path, line):
    (tmp_path / "a").write_bytes(line + b"\n" + b'{"index": 1, "detections": []}\n')
    records = Records(2, [str(tmp_path / "a")])
    assert records.found.tolist() == [False, True]
    assert records.torn == 1


def test_detections_count_more_than_errors_and_earlier_ones_more_than_later(tmp_path):
    error = {"file": "x", "error": "first"}
    files = [
        write(tmp_path / "a", (0, error), (1, found("first")), (2, error)),
        write(tmp_path / "b", (0, found("second")), (1, found("second"))),
        write(tmp_path / "c", (0, error), (1, error), (2, {"file": "x", "error": "last"})),
    ]
    records = Records(3, files)
    assert records.broken.tolist() == [False, False, True]
    lines = [json.loads(records.line(index)) for index in range(3)]
    assert [line["file"] for line in lines] == ["second", "first", "x"]
    assert lines[2]["error"] == "last"


def test_two_runs_never_write_to_one_file(tmp_path):
    write(tmp_path / "a")
    with pytest.raises(FileExistsError, match="another run"):
        RecordWriter(str(tmp_path / "a"))


def test_nothing_found_anywhere():
    assert not Records(3, []).found.any()
    assert np.array_equal(Records(0, []).found, np.zeros(0, bool))
