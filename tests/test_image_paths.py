import os

import pytest

from smallobj.image_paths import find_images


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "c.tif", "notes.txt", "below/d.jpg"):
        (folder / name).write_bytes(b"x")
    return folder


def names(paths):
    return [os.path.basename(path) for path in paths]


def test_a_folder_gives_its_images_sorted_and_not_its_subfolders(photos):
    assert names(find_images([str(photos)])) == ["a.PNG", "b.jpg", "c.tif"]


def test_globs_are_expanded_here(photos):
    assert names(find_images([str(photos / "*.jpg")])) == ["b.jpg"]
    assert sorted(names(find_images([str(photos / "**" / "*.jpg")]))) == ["b.jpg", "d.jpg"]
    assert names(find_images([str(photos / "*")])) == ["a.PNG", "b.jpg", "c.tif"]


def test_a_named_file_is_taken_whatever_its_ending_and_its_brackets(photos):
    odd = photos / "img[1].jpg"
    odd.write_bytes(b"x")
    found = find_images([str(photos / "notes.txt"), str(odd)])
    assert names(found) == ["notes.txt", "img[1].jpg"]


def test_inputs_keep_their_order_and_come_once(photos):
    found = find_images([str(photos / "c.tif"), str(photos), str(photos / "*.jpg")])
    assert names(found) == ["c.tif", "a.PNG", "b.jpg"]


@pytest.mark.parametrize("path", ["missing.jpg", "empty", "photos/*.bmp"])
def test_what_gives_no_image_is_named(tmp_path, photos, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        find_images([str(photos), str(tmp_path / path)])
    assert str(tmp_path / path) in str(caught.value)
