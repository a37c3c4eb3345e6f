import os

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from smallobj.data.image_file import read_image
from smallobj.images.raster import Raster

HEIGHT, WIDTH = 150, 230


@pytest.fixture(scope="module")
def photograph():
    """(H, W, 3) uint8 BGR, smooth, so that lossy formats change little."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def write(tmp_path):
    """Writes bands (B, H, W) through rasterio and gives the path back."""

    def make(bands, name="a.tif", colors=None, colormap=None, **profile):
        path = str(tmp_path / name)
        count, height, width = bands.shape
        options = {"driver": "GTiff", "dtype": bands.dtype, **profile}
        with rasterio.open(path, "w", count=count, height=height, width=width, **options) as file:
            if colors:
                file.colorinterp = colors
            if colormap:
                file.write_colormap(1, colormap)
            file.write(bands)
        return path

    return make


def rgb(image):
    return np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))


def whole(path):
    with Raster(path) as raster:
        return raster.read((0, 0, raster.size[1], raster.size[0]))


WRITTEN = {
    "tiled.tif": {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"},
    "big.tif": {"BIGTIFF": "YES", "tiled": True, "blockxsize": 16, "blockysize": 16},
    "strips.tif": {"compress": "lzw", "blockysize": 7},
    "one_strip.tif": {"compress": "lzw", "blockysize": HEIGHT},
    "planes.tif": {"interleave": "band"},
    "a.png": {"driver": "PNG"},
    "a.jp2": {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"},
    "a.bmp": {"driver": "BMP"},
}


@pytest.mark.parametrize("name", WRITTEN)
def test_lossless_formats_give_the_pixels_back(name, write, photograph):
    path = write(rgb(photograph), name, **WRITTEN[name])
    with Raster(path) as raster:
        assert raster.size == (HEIGHT, WIDTH)
        assert (raster.bands, raster.dtype) == (3, "uint8")
        for window in [
            (0, 0, WIDTH, HEIGHT),
            (3, 5, 100, 6),
            (64, 31, 65, 150),
            (0, 149, 230, 150),
        ]:
            x0, y0, x1, y1 = window
            np.testing.assert_array_equal(raster.read(window), photograph[y0:y1, x0:x1])


@pytest.mark.parametrize("options", [{}, {cv2.IMWRITE_JPEG_PROGRESSIVE: 1}])
def test_a_jpeg_too_large_to_be_decoded_whole(options, tmp_path, photograph, monkeypatch):
    path = str(tmp_path / "a.jpg")
    cv2.imwrite(path, photograph, list(sum(options.items(), (cv2.IMWRITE_JPEG_QUALITY, 95))))
    np.testing.assert_array_equal(whole(path), read_image(path))
    monkeypatch.setattr("smallobj.images.raster.MOST_WHOLE_PIXELS", 100)
    difference = np.abs(whole(path).astype(int) - read_image(path))
    # Two builds of libjpeg round and interpolate colours differently.
    assert 0 < difference.max() <= 8
    assert difference.mean() < 0.8


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "strips.tif", "tiled.tif"])
def test_strips_downwards_and_jumps_back_give_the_same(name, write, photograph, monkeypatch):
    # A few lines at a time, as in a file of 40,000 px.
    monkeypatch.setattr("smallobj.images.raster._CHUNK_BYTES", WIDTH * 3 * 20)
    monkeypatch.setattr("smallobj.images.raster.MOST_WHOLE_PIXELS", 100)
    profile = WRITTEN.get(name, {"driver": "JPEG", "quality": 95})
    path = write(rgb(photograph), name, **profile)
    expected = whole(path)
    with Raster(path) as raster:
        for y0, y1 in [(0, 60), (40, 110), (100, 150), (10, 30)]:
            out = np.zeros((y1 - y0, WIDTH, 3), np.uint8)
            assert raster.read((0, y0, WIDTH, y1), out=out) is out
            np.testing.assert_array_equal(out, expected[y0:y1])


def test_grey_and_its_alpha(write, photograph):
    grey = photograph[None, :, :, 0]
    np.testing.assert_array_equal(whole(write(grey)), np.repeat(grey[0][:, :, None], 3, axis=2))
    alpha = np.full_like(grey, 200)
    alpha[0, :50] = 0
    path = write(np.concatenate([grey, alpha]), colors=[ColorInterp.gray, ColorInterp.alpha])
    expected = np.repeat(grey[0][:, :, None], 3, axis=2)
    expected[:50] = 0
    np.testing.assert_array_equal(whole(path), expected)


def test_red_green_blue_are_found_by_name_and_alpha_is_black(write, photograph):
    red, green, blue = rgb(photograph)
    alpha = np.full_like(red, 255)
    alpha[:, 100:] = 0
    names = [ColorInterp.alpha, ColorInterp.blue, ColorInterp.undefined, ColorInterp.red]
    path = write(np.stack([alpha, blue, green, red, green]), colors=[*names, ColorInterp.green])
    expected = photograph.copy()
    expected[:, 100:] = 0
    np.testing.assert_array_equal(whole(path), expected)


def test_of_many_nameless_bands_the_first_three(write, photograph):
    bands = np.concatenate([rgb(photograph), rgb(photograph)[:2]])
    path = write(bands, photometric="MINISBLACK")
    np.testing.assert_array_equal(whole(path), photograph)


def test_pixels_without_data_are_black(write, photograph):
    bands = rgb(photograph).copy()
    bands[bands == 7] = 8
    bands[:, 20:40] = 7
    bands[0, 60:80] = 7  # only one band: data
    expected = photograph.copy()
    expected[photograph == 7] = 8
    expected[20:40] = 0
    expected[60:80, :, 2] = 7
    np.testing.assert_array_equal(whole(write(bands, nodata=7)), expected)


def test_a_mask_in_the_file_is_black(write, photograph):
    path = write(rgb(photograph))
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, :30] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    expected = photograph.copy()
    expected[:, :30] = 0
    np.testing.assert_array_equal(whole(path), expected)


def test_palettes(write):
    values = np.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).astype(np.uint8) % 4
    colors = {0: (255, 0, 0, 255), 1: (0, 255, 0, 255), 2: (9, 8, 7, 255), 3: (1, 2, 3, 255)}
    path = write(values, colormap=colors, nodata=3)
    image = whole(path)
    assert image[0, :4].tolist() == [[0, 0, 255], [0, 255, 0], [7, 8, 9], [0, 0, 0]]


def test_few_bits_and_white_zeros(write):
    values = np.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).astype(np.uint8)
    assert whole(write(values % 16, nbits=4))[0, :3, 0].tolist() == [0, 17, 34]
    assert whole(write(values % 2, nbits=1))[0, :3, 0].tolist() == [0, 255, 0]
    white = whole(write(values, photometric="MINISWHITE"))
    assert white[0, :3, 1].tolist() == [255, 254, 253]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "float32", "float64"])
def test_other_numbers_are_stretched_by_percentiles(dtype, write):
    # In a file smaller than a sample every pixel counts.
    values = np.linspace(-3000 if dtype[0] != "u" else 0, 20000, HEIGHT * WIDTH)
    bands = values.reshape(1, HEIGHT, WIDTH).astype(dtype)
    low, high = np.percentile(bands, [0.5, 99.5])
    expected = np.clip((bands[0].astype(float) - low) / (high - low) * 255, 0, 255)
    image = whole(write(bands))
    assert np.abs(image[:, :, 0] - expected).max() <= 0.51
    assert (image[:, :, :1] == image).all()
    assert (image.min(), image.max()) == (0, 255)


def test_the_stretch_ignores_what_is_no_data(write):
    bands = np.random.default_rng(0).uniform(10, 20, (3, HEIGHT, WIDTH)).astype(np.float32)
    bands[:, :30] = -9999
    bands[1, 40, 40] = np.nan
    image = whole(write(bands, nodata=-9999))
    assert (image[:30] == 0).all()
    assert (image[40, 40] == 0).all()
    assert 110 < image[50:].mean() < 145


@pytest.mark.parametrize("value", [0, 4000])
def test_a_constant_is_stretched_to_something(value, write):
    assert whole(write(np.full((1, 50, 60), value, np.uint16))).shape == (50, 60, 3)
    empty = np.full((1, 50, 60), np.nan, np.float32)
    assert (whole(write(empty, "nan.tif")) == 0).all()


def test_every_window_is_stretched_alike(write):
    bands = np.random.default_rng(0).integers(0, 5000, (3, 400, 500), dtype=np.uint16)
    bands[:, 200:] += 3000
    path = write(bands, tiled=True, blockxsize=64, blockysize=64)
    expected = whole(path)
    with Raster(path) as raster:
        np.testing.assert_array_equal(raster.read((100, 250, 300, 390)), expected[250:390, 100:300])


@pytest.mark.parametrize("longest", [100, 230, 1000])
def test_a_reduced_image_is_the_mean_of_its_pixels(longest, write, photograph, monkeypatch):
    monkeypatch.setattr("smallobj.images.raster._CHUNK_BYTES", WIDTH * 3 * 40)
    path = write(rgb(photograph))
    with Raster(path) as raster:
        image = raster.reduced(longest)
    factor = max(1.0, WIDTH / longest)
    size = (round(WIDTH / factor), round(HEIGHT / factor))
    expected = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 2


def test_overviews_are_taken_when_large_enough(write, photograph):
    path = write(rgb(photograph))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.average)
        # What an overview holds is seen to be used: here it is all black.
    with rasterio.open(path, "r+", overview_level=0) as file:
        file.write(np.zeros((3, 75, 115), np.uint8))
    with Raster(path) as raster:
        assert raster.reduced(100).max() == 0
        assert raster.reduced(120).max() > 0


def test_georeferences(write, photograph):
    plain = write(rgb(photograph), "plain.tif")
    transform = rasterio.transform.from_origin(500000, 4000000, 0.5, 0.5)
    placed = write(rgb(photograph), "placed.tif", crs="EPSG:32652", transform=transform)
    with Raster(plain) as raster:
        assert not raster.is_georeferenced
    with Raster(placed) as raster:
        assert raster.is_georeferenced
        assert raster.crs.to_epsg() == 32652
        assert raster.transform == transform


TRUNCATED = ["tiled.tif", "strips.tif", "a.png", "a.jp2", "a.jpg"]


@pytest.mark.parametrize("name", TRUNCATED)
def test_a_truncated_file_is_told_in_a_sentence(name, write, photograph, capfd):
    noise = np.random.default_rng(0).integers(0, 256, photograph.shape, dtype=np.uint8)
    profile = WRITTEN.get(name, {"driver": "JPEG"})
    path = write(rgb(noise), name, **profile)
    size = os.path.getsize(path)
    os.truncate(path, size // 2)
    with pytest.raises(ValueError, match=rf"{name}: \w+") as caught:
        whole(path)
    told = str(caught.value)
    assert "See previous" not in told
    assert told.count(name) == 1
    assert "\n" not in told
    assert capfd.readouterr() == ("", "")


def test_a_png_broken_in_the_middle_is_told(write, photograph):
    path = write(
        rgb(np.random.default_rng(0).integers(0, 256, photograph.shape, dtype=np.uint8)),
        "a.png",
        driver="PNG",
    )
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) // 2)
        stream.write(b"\0" * 2000)
    with pytest.raises(ValueError, match=r"a\.png: not an image that OpenCV can decode"):
        whole(path)


BAD = {
    "none.tif": (None, "no such image file"),
    "text.tif": (b"hello, world", "not one of the formats TIFF"),
    "empty.jpg": (b"", "not one of the formats TIFF"),
    "junk.tif": (b"II*\0junk", "broken file"),
    # Names another file: GDAL would open it.
    "a.vrt": (b"<VRTDataset rasterXSize='1' rasterYSize='1'/>", "not one of the formats"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_told_in_a_sentence(name, tmp_path):
    content, told = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=told) as caught:
        Raster(tmp_path / name)
    assert str(caught.value).count(name) == 1


def test_complex_numbers_are_no_colours(write):
    with pytest.raises(ValueError, match="real numbers; got complex64"):
        Raster(write(np.zeros((1, 20, 20), np.complex64)))


@pytest.mark.parametrize("window", [(0, 0, 231, 10), (-1, 0, 5, 5), (5, 5, 5, 9), (0, 8, 9, 7)])
def test_windows_lie_in_the_image(window, write, photograph):
    with Raster(write(rgb(photograph))) as raster, pytest.raises(ValueError, match="230x150 image"):
        raster.read(window)
