import os

import cv2
import numpy as np
import pytest

from smallobj.inference.sources import Video, find_images, require_display


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


def test_a_video_gives_its_frames(tmp_path):
    path = str(tmp_path / "film.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for level in (20, 120, 220):
        writer.write(np.full((48, 64, 3), level, dtype=np.uint8))
    writer.release()
    with Video(path) as video:
        frames = list(video)
        assert (video.fps, video.announced) == (10, 3)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    assert [round(frame.mean(), -1) for frame in frames] == [20, 120, 220]


def test_no_video(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"film\.mp4: no such video"):
        Video(str(tmp_path / "film.mp4"))
    (tmp_path / "film.mp4").write_bytes(b"not a film")
    with pytest.raises(ValueError, match=r"film\.mp4: not a video"):
        Video(str(tmp_path / "film.mp4"))


def test_no_camera():
    with pytest.raises(ValueError, match="webcam 987: there is no such camera"):
        Video(987)


def test_no_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ValueError, match="no display"):
        require_display()
    monkeypatch.setenv("DISPLAY", ":0")
    require_display()
