import os

import pytest

import smallobj  # noqa: F401
from smallobj.whole_file import check_outputs, require_writable, whole_file, whole_path, whole_text


def test_places_that_cannot_be_written_are_found_before_the_run(tmp_path):
    require_writable([str(tmp_path / "a" / "b.json")])
    assert (tmp_path / "a").is_dir()
    with pytest.raises(ValueError, match="this is a folder"):
        require_writable([str(tmp_path / "a")])
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        require_writable([str(tmp_path / "file" / "b.json")])


def test_a_file_appears_when_it_is_whole_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "a"
    with whole_file(path) as file:
        file.write(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"
    assert [entry.name for entry in path.parent.iterdir()] == ["a"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(TypeError), whole_text(path) as file:
        file.writelines(["new", 1])
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_two_may_write_one_file_at_once_beside_it_under_names_of_their_own(tmp_path):
    path = tmp_path / "a"
    with whole_path(path, ".1.part") as one, whole_path(path, ".2.part") as other:
        for beside, content in ((one, "1"), (other, "2")):
            with open(beside, "w") as file:
                file.write(content)
    assert path.read_text() == "1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_text_beyond_utf8_becomes_an_escape_and_line_ends_stay(tmp_path):
    with whole_text(tmp_path / "a") as file:
        file.write("caf\udce9\r\n\n")
    assert (tmp_path / "a").read_bytes() == b"caf\\udce9\r\n\n"


def test_no_output_is_an_input_by_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = tmp_path / "photo.jpg"
    photo.write_text("")
    (tmp_path / "sub").mkdir()
    os.symlink(photo, tmp_path / "link.jpg")
    os.link(photo, tmp_path / "hard.jpg")
    for name in ("photo.jpg", "sub/../photo.jpg", "./link.jpg", photo, "hard.jpg"):
        with pytest.raises(ValueError, match=r"--json .* would replace the input .*photo\.jpg"):
            check_outputs([("--csv", None), ("--json", name)], ["none.jpg", photo])
    check_outputs([("--json", "new.json")], [photo])
    check_outputs([("--json", "PHOTO2.jpg")], [photo])


def test_no_two_outputs_are_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("b.json", "c.json")
    for second in ("b.json", "./b.json", "B.json", "c.json"):
        with pytest.raises(ValueError, match="--csv and --json would write the same file twice"):
            check_outputs([("--csv", "b.json"), ("--json", second)], [])
