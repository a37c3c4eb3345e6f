"""Reading image files."""

import io

import cv2
import numpy as np
import PIL.Image
import pytest

from smallobj.data.image_file import read_image
from smallobj.images.reduction import reduce_image


def rows(height=40, width=60):
    """Red above, blue below (RGB for Pillow)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0], image[height // 2 :, :, 2] = 255, 255
    return image


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp", "tif"])
def test_colours_come_out_blue_first(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    PIL.Image.fromarray(rows()).save(path)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (40, 60, 3)
    assert image[5, 30].tolist() == pytest.approx([0, 0, 255], abs=6)
    assert image[35, 30].tolist() == pytest.approx([255, 0, 0], abs=6)


def test_orientation_of_the_camera_is_applied(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    PIL.Image.fromarray(rows()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (60, 40, 3)
    assert image[30, 35].tolist() == pytest.approx([0, 0, 255], abs=6)  # red was above, is right
    assert image[30, 5].tolist() == pytest.approx([255, 0, 0], abs=6)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_other_pixel_types_become_three_channels_of_uint8(tmp_path, mode):
    if mode == "I;16":
        picture = PIL.Image.fromarray(np.full((20, 30), 40000, np.uint16))
    else:
        picture = PIL.Image.fromarray(rows(20, 30)).convert(mode)
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b\.jpg: no such image"):
        read_image(tmp_path / "b.jpg")
    with pytest.raises(FileNotFoundError, match="no such image"):
        read_image(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0rubbish\xff\xd9"])
def test_a_file_that_is_not_an_image(tmp_path, content):
    (tmp_path / "b.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"b\.jpg"):
        read_image(tmp_path / "b.jpg")


def test_a_truncated_photograph(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), noise)
    whole = (tmp_path / "a.jpg").read_bytes()
    assert read_image(tmp_path / "a.jpg").shape == (200, 200, 3)
    for share in (0.3, 0.9):
        (tmp_path / "cut.jpg").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match=r"cut\.jpg: truncated"):
            read_image(tmp_path / "cut.jpg")


def test_bytes_after_the_end_marker_are_not_a_truncation(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), rows())
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "more.jpg").write_bytes(whole + b"\0" * 5000)
    assert (read_image(tmp_path / "more.jpg") == read_image(tmp_path / "a.jpg")).all()


def test_a_thumbnail_does_not_hide_a_cut(tmp_path):
    """The thumbnail's end marker is in the header, where a search from the end can reach it."""
    small = PIL.Image.new("RGB", (64, 48), (10, 200, 30))
    inner = io.BytesIO()
    small.resize((16, 12)).save(inner, "JPEG")
    exif = b"Exif\x00\x00" + inner.getvalue()
    path = tmp_path / "thumbnail.jpg"
    small.save(path, exif=exif)
    assert read_image(path).shape == (48, 64, 3)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("size", [(64, 96), (61, 95)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_reduced_image_has_the_means_of_squares_of_pixels(tmp_path, reduction, size, ending):
    height, width = size
    smooth = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    image = np.stack([smooth, 255 - smooth, smooth // 2], axis=2)
    PIL.Image.fromarray(image).save(tmp_path / f"a.{ending}", quality=100, subsampling=0)
    found = read_image(tmp_path / f"a.{ending}", reduction)
    assert found.shape == (-(-height // reduction), -(-width // reduction), 3)
    for y, x in [(0, 0), (3, 5), (6, 2)]:
        square = image[y * reduction :, x * reduction :][:reduction, :reduction]
        assert found[y, x, ::-1] == pytest.approx(square.mean(axis=(0, 1)), abs=2)


def test_exif_orientation_is_applied_to_a_reduced_image(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(rows()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg", 2)
    assert image.shape == (30, 20, 3)
    assert image[15, 17].tolist() == pytest.approx([0, 0, 255], abs=6)


def test_border_pixels_are_repeated_where_the_size_is_not_a_multiple():
    image = np.array([[10, 20, 40], [30, 40, 60], [1, 3, 9]], np.uint8)
    assert reduce_image(image, 2).tolist() == [[25, 50], [2, 9]]
    assert reduce_image(image, 1) is image


@pytest.mark.parametrize("reduction", [0, 3, 16])
def test_other_reductions_are_refused(tmp_path, reduction):
    PIL.Image.fromarray(rows()).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=f"1, 2, 4 or 8; got {reduction}"):
        read_image(tmp_path / "a.jpg", reduction)
    with pytest.raises(ValueError, match=f"1, 2, 4 or 8; got {reduction}"):
        reduce_image(rows(), reduction)
