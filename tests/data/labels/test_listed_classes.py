"""Class files of all kinds become names by class id."""

import pytest

from smallobj.data.labels.listed_classes import ListedClasses
from smallobj.data.labels.policy import Policy
from smallobj.data.labels.problems import ProblemLog
from smallobj.data.labels.reading import read_listed_classes


def read(tmp_path, name: str, text: str | bytes, policy: Policy | None = None):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    log = ProblemLog(policy=policy or Policy())
    return read_listed_classes(str(path), log), log


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("c.json", '["cat", "dog"]', {0: "cat", 1: "dog"}),
        ("c.json", '{"1": "dog", "0": "cat"}', {0: "cat", 1: "dog"}),
        ("c.json", '{"cat": 0, "dog": 3}', {0: "cat", 3: "dog"}),
        ("c.json", '{"names": ["cat"]}', {0: "cat"}),
        ("notes.json", '{"categories": [{"id": 0, "name": "cat"}], "info": {}}', {0: "cat"}),
        ("c.yaml", "names: [cat, dog]", {0: "cat", 1: "dog"}),
        ("c.yaml", "names:\n  1: dog\n  0: cat", {0: "cat", 1: "dog"}),
        ("c.yaml", "nc: 2\nnames: {0: bolt, 2: nut}", {0: "bolt", 2: "nut"}),
        ("c.yaml", "nc: 3\nnames: {0: bolt, 2: nut}", {0: "bolt", 2: "nut"}),
        ("c.yaml", "names: ['no', \"1\", 'it''s']", {0: "no", 1: "1", 2: "it's"}),
        ("c.yaml", "- cat\n- traffic light", {0: "cat", 1: "traffic light"}),
        ("c.yml", "a: &x {0: cat}\nnames: *x", {0: "cat"}),
        ("c.yaml", "names:\r\n- 나사\r\n- 너트\r\n", {0: "나사", 1: "너트"}),
        ("c.txt", "cat\r\ntraffic light\r\n\r\n", {0: "cat", 1: "traffic light"}),
        (
            "c.txt",
            "11:Fixed-wing Aircraft\n13: Cargo: Plane\n",
            {11: "Fixed-wing Aircraft", 13: "Cargo: Plane"},
        ),
        ("c.names", "1:x\ny", {0: "1:x", 1: "y"}),
        ("c.txt", "cat\r\ndog\r\n".encode("utf-16"), {0: "cat", 1: "dog"}),
        ("c.txt", b"\xef\xbb\xbfcat\n", {0: "cat"}),
    ],
)
def test_names_by_class_id(tmp_path, name, text, names):
    table, log = read(tmp_path, name, text)
    assert log.problems == []
    assert table.names == names
    assert list(table.class_ids) == sorted(names)
    assert not log.changes


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("c.yaml", "names: {0: no, 1: yes}", ["no", "yes"]),
        ("c.yaml", "names: [on, Off, TRUE, null, ~]", ["on", "Off", "TRUE", "null", "~"]),
        ("c.yaml", "names: [0, 1]", ["0", "1"]),
        ("c.yaml", "names: [0x1F, 010, 1_000, 1.50]", ["0x1F", "010", "1_000", "1.50"]),
        ("c.yaml", "names: [2024-01-31, 12:30, .inf]", ["2024-01-31", "12:30", ".inf"]),
        ("c.json", "[0, true, 2.5]", ["0", "true", "2.5"]),
    ],
)
def test_names_that_are_no_texts_stay_as_written_and_are_counted(tmp_path, name, text, names):
    table, log = read(tmp_path, name, text)
    assert log.problems == []
    assert list(table.names.values()) == names
    (line,) = log.changes.lines()
    assert line.startswith(f"class name read as it is written: {len(names)} (class-name-text")
    _, strict = read(tmp_path, name, text, Policy.of(["class-name-text=error"]))
    assert len(strict.problems) == len(names)


def test_a_yaml_with_a_number_of_classes_alone(tmp_path):
    table, log = read(tmp_path, "old.yaml", "train: images\nnc: 3\n")
    assert list(table.names.values()) == ["0", "1", "2"]
    assert "nc 3 and no names" in log.changes.lines()[0]


def test_another_number_of_classes_than_names_is_said(tmp_path):
    table, log = read(tmp_path, "c.yaml", "nc: 3\nnames: [cat, dog]")
    assert list(table.names.values()) == ["cat", "dog"]
    assert "nc '3' and 2 names" in log.changes.lines()[0]


def test_names_that_occur_twice_are_an_error_that_names_them(tmp_path):
    table, log = read(tmp_path, "c.yaml", "names: [cat, dog, cat]")
    assert table == ListedClasses()
    (problem,) = log.problems
    assert (problem.entry, problem.value) == ("class 'cat'", "it 2 times")


def test_keypoints_of_a_pose_yaml(tmp_path):
    table, log = read(tmp_path, "c.yaml", "names: [ship]\nkpt_shape: [2, 3]")
    assert table.keypoints == (2, 3)
    _, log = read(tmp_path, "c.yaml", "names: [ship]\nkpt_shape: [2, 4]")
    assert "kpt_shape must be" in str(log.problems[0])


def test_aliases_of_aliases_are_read_once(tmp_path):
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 40))
    table, log = read(tmp_path, "c.yaml", f"l0: &l0 [x]\n{levels}names: [cat]")
    assert log.problems == []
    assert table.names == {0: "cat"}
