import os

import pytest

from smallobj.image_paths import describe_inputs, find_images, leave_out_pictures, visible_files


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "c.tif", "notes.txt", "below/d.jpg"):
        (folder / name).write_bytes(b"x")
    return folder


def names(paths):
    return [os.path.basename(path) for path in paths]


def test_a_folder_gives_its_images_and_those_of_subfolders_sorted(photos):
    assert names(find_images([str(photos)])) == ["a.PNG", "b.jpg", "d.jpg", "c.tif"]


def test_hidden_subfolders_are_left_out_and_linked_ones_are_listed_once(photos, tmp_path):
    for name in ("far/e.jpg", "photos/.cache/f.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    (photos / "linked").symlink_to(tmp_path / "far")
    (photos / "below" / "round").symlink_to(photos)
    (photos / "broken.jpg").symlink_to(tmp_path / "nothing.jpg")
    found = find_images([str(photos)])
    assert names(found) == ["a.PNG", "b.jpg", "d.jpg", "c.tif", "e.jpg"]
    assert str(photos / "linked" / "e.jpg") in found


def test_earlier_pictures_below_the_input_are_no_input(photos):
    (photos / "found" / "below").mkdir(parents=True)
    for name in ("found/b.jpg", "found/below/d.jpg"):
        (photos / name).write_bytes(b"x")
    found = find_images([str(photos)])
    assert len(found) == 6
    kept = leave_out_pictures(found, [str(photos)], str(photos / "found"))
    assert names(kept) == ["a.PNG", "b.jpg", "d.jpg", "c.tif"]
    # A folder that the user names is taken as it is.
    pictures = find_images([str(photos / "found")])
    assert leave_out_pictures(pictures, [str(photos / "found")], str(photos / "found")) == pictures


def test_the_number_of_images_is_described(photos):
    inputs = [str(photos), str(photos / "*.jpg")]
    text = describe_inputs(find_images(inputs), inputs)
    assert text == f"4 images in {photos}, 1 of them in subfolders"
    assert describe_inputs(["a.jpg"], ["a.jpg"]) == ""


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
    assert names(found) == ["c.tif", "a.PNG", "b.jpg", "d.jpg"]


@pytest.mark.parametrize("path", ["missing.jpg", "empty", "photos/*.bmp"])
def test_what_gives_no_image_is_named(tmp_path, photos, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        find_images([str(photos), str(tmp_path / path)])
    assert str(tmp_path / path) in str(caught.value)


def test_hidden_files_are_passed_over(photos):
    for name in ("._b.jpg", ".hidden.png", "below/._d.jpg"):
        (photos / name).write_bytes(b"x")
    expected = ["a.PNG", "b.jpg", "d.jpg", "c.tif"]
    assert names(find_images([str(photos)])) == expected
    assert names(find_images([f"{photos}/*", f"{photos}/below/*"])) == [
        *("a.PNG", "b.jpg", "c.tif"),
        "d.jpg",
    ]
    with pytest.raises(FileNotFoundError, match="no image matches"):
        find_images([f"{photos}/.*"])


def test_images_that_are_not_read_are_counted_by_ending(photos):
    for name in ("1.heic", "2.HEIC", "below/3.CR2", "4.svg", "._5.heic"):
        (photos / name).write_bytes(b"x")
    said = []
    find_images([str(photos), str(photos / "b.jpg")], said.append)
    told = "passed over 1 .cr2, 2 .heic, 1 .svg, formats that are not read"
    assert said == [f"{photos}: {told}"]
    with pytest.raises(
        FileNotFoundError, match=r"no image matches this pattern; not read: 1 .heic;"
    ):
        find_images([f"{photos}/*.HEIC"])


def test_files_below_a_folder_without_the_hidden_ones(photos):
    for name in (".checkpoints/b.jpg", "below/._notes.txt"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"x")
    found = sorted(os.path.relpath(path, photos) for path in visible_files(str(photos)))
    assert found == ["a.PNG", "b.jpg", "below/d.jpg", "c.tif", "notes.txt"]
