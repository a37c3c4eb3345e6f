import os

import pytest

from smallobj.bulk.path_list import PathList, list_images
from smallobj.image_paths import find_images


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.jpg", "b/10.JPG", "b/1.png", "b/note.md", "b/deep/0.jpg", "c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "b" / "folder.jpg").mkdir()
    return tmp_path


def test_folders_and_patterns_give_what_the_demo_takes(folder):
    for words in (["b"], ["b/*.jpg", "c.jpg"], ["b/**/*.jpg"], ["c.jpg", "b", "c.jpg"]):
        found = list_images(words)
        # A folder that is named like an image is told apart without a request for every file.
        assert [path for path in found if os.path.isfile(path)] == find_images(words)
    assert list_images(["b"]) == ["b/1.png", "b/10.JPG", "b/2.jpg", "b/deep/0.jpg"]


def test_a_list_names_files_beside_it(folder):
    (folder / "b" / "list.txt").write_text("2.jpg\n\n  /far/away.jpg \n2.jpg\nmissing.jpg")
    assert list_images(["b/list.txt"]) == ["b/2.jpg", "/far/away.jpg", "b/missing.jpg"]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["none"], "no such"), (["b/*.tif"], "no image matches"), (["empty.txt"], "no path")],
)
def test_nothing_found_is_an_error(folder, words, message):
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(FileNotFoundError, match=message):
        list_images(words)


def test_a_line_break_in_a_name_is_refused(folder):
    (folder / "b" / "x\ny.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"x\\ny.jpg.*line break"):
        list_images(["b"])


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_list_comes_back(tmp_path, count):
    names = ["a.jpg", "ü b.png", b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), "d/", ""]
    paths = names[:count]
    file = str(tmp_path / "list")
    PathList.write(file, paths)
    read = PathList(file)
    assert list(read) == paths
    assert read[:] == paths
    assert read.digest == PathList.digest_of(paths)
    assert PathList.digest_of([*paths, "more"]) != read.digest
    for index in (count, -count - 1):
        with pytest.raises(IndexError):
            read[index]
    if count:
        assert read[-1] == paths[-1]


def test_hidden_files_are_passed_over_and_others_that_are_not_read_are_counted(folder):
    for name in ("b/._2.jpg", "b/.3.jpg", "b/1.nef", "b/2.heic"):
        (folder / name).write_bytes(b"")
    (folder / "b" / "list.txt").write_text("2.jpg\n._2.jpg\nx/._3.jpg\n")
    said = []
    assert list_images(["b"], said.append) == ["b/1.png", "b/10.JPG", "b/2.jpg", "b/deep/0.jpg"]
    assert list_images(["b/list.txt"], said.append) == ["b/2.jpg"]
    assert said == ["b: passed over 1 .heic, 1 .nef, formats that are not read"]
