import cv2
import numpy as np
import pytest

import smallobj  # noqa: F401
from smallobj.demo.video import Video, VideoWriter, require_display


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


def test_a_video_appears_when_it_is_closed(tmp_path):
    path = tmp_path / "new" / "film.mp4"
    writer = VideoWriter(str(path), 12.5)
    for level in (30, 200):
        writer.add(np.full((33, 65, 3), level, dtype=np.uint8))
    assert not path.exists()
    assert writer.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["film.mp4"]
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    frames = [capture.read()[1] for _ in range(2)]
    assert [round(frame.mean(), -1) for frame in frames] == [30, 200]
    assert frames[0].shape == (32, 64, 3)
    assert not capture.read()[0]
    assert not VideoWriter(str(tmp_path / "none.mp4"), 10).close()
