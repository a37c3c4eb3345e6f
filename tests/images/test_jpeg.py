"""Whether a JPEG is whole, whatever lies behind its end marker."""

import io
import logging
import time

import cv2
import numpy as np
import PIL.Image
import pytest

from smallobj.data.image_file import read_image
from smallobj.images.raster import Raster

FLAGS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
}


@pytest.fixture
def content():
    """Gives the bytes of a JPEG of noise."""

    def make(kind):
        noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        return cv2.imencode(".jpg", noise, FLAGS[kind])[1].tobytes()

    return make


# As a phone's film: bytes of every value, end markers too, more than a search from the end reads.
FILM = b"\0\0\0\x18ftypmp42" + np.random.default_rng(1).bytes(400_000)


@pytest.mark.parametrize("kind", FLAGS)
@pytest.mark.parametrize("behind", [FILM, b"\0" * 5000, b"trailer", b"\xff\xd9", b"\r\n"])
def test_what_lies_behind_the_end_marker_does_not_count(kind, behind, content, tmp_path):
    (tmp_path / "alone.jpg").write_bytes(content(kind))
    (tmp_path / "more.jpg").write_bytes(content(kind) + behind)
    image = read_image(tmp_path / "alone.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "more.jpg"), image)
    with Raster(tmp_path / "more.jpg") as raster:
        np.testing.assert_array_equal(raster.read((0, 0, 160, 120)), image)


@pytest.mark.parametrize("kind", FLAGS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("behind", [b"", b"\0" * 5000, b"abc" * 5000])
def test_a_truncated_one_is_refused(kind, share, behind, content, tmp_path):
    whole = content(kind)
    (tmp_path / "cut.jpg").write_bytes(whole[: int(len(whole) * share)] + behind)
    with pytest.raises(ValueError, match=r"cut\.jpg: truncated JPEG"):
        read_image(tmp_path / "cut.jpg")


def test_the_end_marker_of_a_thumbnail_is_not_the_image_s(tmp_path):
    thumbnail = io.BytesIO()
    PIL.Image.new("RGB", (16, 12)).save(thumbnail, "JPEG")
    path = tmp_path / "a.jpg"
    PIL.Image.new("RGB", (64, 48)).save(path, exif=b"Exif\0\0" + thumbnail.getvalue())
    whole = path.read_bytes()
    path.write_bytes(whole + FILM)
    assert read_image(path).shape == (48, 64, 3)
    path.write_bytes(whole[:-40] + b"\0" * 100)
    with pytest.raises(ValueError, match="truncated"):
        read_image(path)


def test_a_film_is_walked_past_fast(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content("progressive") + b"\xff\x00" * 10_000_000)
    begun = time.process_time()
    read_image(tmp_path / "a.jpg")
    assert time.process_time() - begun < 1


def test_broken_exif_is_said_once_and_taken_as_upright(content, tmp_path, caplog):
    whole = content("baseline")
    # The directory begins beyond the end of the block.
    block = b"Exif\0\0II*\0\xff\xff\0\0"
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:2] + segment + whole[2:])
    (tmp_path / "b.jpg").write_bytes(whole)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(read_image(path), read_image(tmp_path / "b.jpg"))
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: its EXIF data are broken; the image is taken to be upright"
    ]
    with Raster(path) as raster:
        assert raster.size == (120, 160)
