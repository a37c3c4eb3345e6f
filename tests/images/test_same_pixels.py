"""One picture, one set of pixels: whole, by windows, and as the values in the file say."""

import io

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import rasterio
from rasterio.enums import ColorInterp

from smallobj.data.image_file import read_image
from smallobj.images.pixels import PixelConversion
from smallobj.images.raster import Raster
from smallobj.images.size import read_size

HEIGHT, WIDTH = 60, 84


@pytest.fixture(scope="module")
def photograph():
    """(H, W, 3) uint8 RGB."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def save_tiff(path, values, colors=None, colormap=None, **profile):
    """Writes (H, W) or (H, W, B) values."""
    bands = np.atleast_3d(values).transpose(2, 0, 1)
    options = {"driver": "GTiff", "dtype": bands.dtype, **profile}
    count, height, width = bands.shape
    with rasterio.open(path, "w", count=count, height=height, width=width, **options) as file:
        if colors:
            file.colorinterp = colors
        if colormap:
            file.write_colormap(1, colormap)
        file.write(bands)


def both(path, conversion=PixelConversion()):  # noqa: B008  (frozen)
    """The pixels, after a check that every reader gives them."""
    image = read_image(path, conversion=conversion)
    with Raster(path, conversion) as raster:
        height, width = raster.size
        assert read_size(str(path)) == (height, width)
        np.testing.assert_array_equal(raster.read((0, 0, width, height)), image)
        window = (width // 3, height // 4, width - 2, height - 5)
        x0, y0, x1, y1 = window
        np.testing.assert_array_equal(raster.read(window), image[y0:y1, x0:x1])
        reduced = raster.reduced(40)
        assert max(reduced.shape) == 40
        expected = cv2.resize(image, reduced.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(reduced.astype(int) - expected).mean() < 3
    assert read_image(path, 2, conversion).shape[:2] == (-(-height // 2), -(-width // 2))
    return image


def stretched(values):
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / (high - low) * 255, 0, 255)


TIFFS = {
    "strips": {},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16},
    "planes": {"interleave": "band"},
    "lzw": {"compress": "lzw", "predictor": 2},
    "deflate": {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16},
    "zstd": {"compress": "zstd"},
    "packbits": {"compress": "packbits"},
    "lzma": {"compress": "lzma"},
    "big": {"BIGTIFF": "YES"},
    "big_endian": {"ENDIANNESS": "BIG"},
}


@pytest.mark.parametrize("name", TIFFS)
def test_compression_and_layout_of_a_tiff_change_nothing(name, tmp_path, photograph):
    save_tiff(tmp_path / "a.tif", photograph, **TIFFS[name])
    np.testing.assert_array_equal(both(tmp_path / "a.tif"), photograph[:, :, ::-1])
    deep = photograph.astype(np.uint16) * 10
    save_tiff(tmp_path / "b.tif", deep, **TIFFS[name])
    assert np.abs(both(tmp_path / "b.tif")[:, :, ::-1] - stretched(deep)).max() <= 0.51


def test_a_tiff_compressed_as_jpeg(tmp_path, photograph):
    options = {"compress": "jpeg", "photometric": "YCBCR", "jpeg_quality": 95}
    save_tiff(tmp_path / "a.tif", photograph, **options)
    assert np.abs(both(tmp_path / "a.tif")[:, :, ::-1].astype(int) - photograph).mean() < 4


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "webp", "gif", "avif", "jp2", "mpo"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_eight_bits_are_the_decoders_own(ending, mode, tmp_path, photograph):
    if mode == "RGBA" and ending in ("ppm", "mpo", "gif"):
        pytest.skip("has no alpha")
    path = tmp_path / f"a.{ending}"
    options = {"webp": {"lossless": True, "exact": True}, "avif": {"quality": 100}}.get(ending, {})
    picture = PIL.Image.fromarray(photograph).convert(mode)
    if mode == "RGBA":
        picture.putalpha(PIL.Image.fromarray(photograph[:, :, 0] // 2 + 60))
    if ending == "mpo":
        second = PIL.Image.new("RGB", (30, 30))
        picture.save(path, save_all=True, append_images=[second], quality=95)
    else:
        picture.save(path, **options)
    expected = np.asarray(picture.convert("RGB"))[:, :, ::-1].astype(int)
    difference = np.abs(both(path) - expected)
    assert difference.mean() <= {"gif": 8, "mpo": 3, "avif": 3}.get(ending, 0)


@pytest.mark.parametrize("ending", ["png", "pgm", "tif"])
def test_twelve_bits_in_sixteen_are_a_picture_and_not_black(ending, tmp_path, photograph):
    deep = photograph[:, :, 0].astype(np.uint16) * 16
    PIL.Image.fromarray(deep).save(tmp_path / f"a.{ending}")
    image = both(tmp_path / f"a.{ending}")
    assert np.abs(image[:, :, 0] - stretched(deep)).max() <= 0.51
    full = both(tmp_path / f"a.{ending}", PixelConversion("full"))
    assert np.abs(full[:, :, 0] - deep / 257).max() <= 0.51


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_of_a_png(channels, tmp_path, photograph):
    deep = (photograph.astype(np.uint16) * 16)[:, :, ::-1]
    alpha = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH, 1)
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([deep, alpha])[:, :, :channels])
    assert np.abs(both(tmp_path / "a.png") - stretched(deep)).max() <= 0.51


FLOATS = {"zero to one": (0, 1), "percent": (0, 100), "height": (-500.0, 3000.0)}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_of_any_range(name, dtype, tmp_path, photograph):
    low, high = FLOATS[name]
    values = (photograph / 255 * (high - low) + low).astype(dtype)
    save_tiff(tmp_path / "a.tif", values)
    assert np.abs(both(tmp_path / "a.tif")[:, :, ::-1] - stretched(values)).max() <= 0.51
    if high == 1:
        full = both(tmp_path / "a.tif", PixelConversion("full"))
        np.testing.assert_array_equal(full[:, :, ::-1], photograph)


def test_numbers_of_bands(tmp_path, photograph):
    path = tmp_path / "a.tif"
    grey = np.repeat(photograph[:, :, :1], 3, axis=2)
    for count in (1, 2, 3, 4, 5, 8):
        bands = np.dstack([photograph, 255 - photograph, photograph])[:, :, :count]
        save_tiff(path, bands, photometric="MINISBLACK")
        expected = photograph[:, :, ::-1] if count >= 3 else grey
        np.testing.assert_array_equal(both(path), expected)


def test_near_infrared_is_not_alpha(tmp_path, photograph):
    infrared = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    save_tiff(tmp_path / "a.tif", np.dstack([photograph, infrared]), photometric="RGB")
    np.testing.assert_array_equal(both(tmp_path / "a.tif"), photograph[:, :, ::-1])


@pytest.mark.parametrize("alpha", ["YES", "PREMULTIPLIED"])
def test_alpha_of_a_tiff_marks_no_data_and_multiplies_nothing(alpha, tmp_path, photograph):
    opacity = np.full((HEIGHT, WIDTH, 1), 100, np.uint8)
    opacity[:20] = 0
    save_tiff(tmp_path / "a.tif", np.dstack([photograph, opacity]), photometric="RGB", ALPHA=alpha)
    expected = photograph[:, :, ::-1].copy()
    expected[:20] = 0
    np.testing.assert_array_equal(both(tmp_path / "a.tif"), expected)
    save_tiff(
        tmp_path / "b.tif",
        np.dstack([photograph[:, :, :1], opacity]),
        colors=[ColorInterp.gray, ColorInterp.alpha],
    )
    expected = np.repeat(photograph[:, :, :1], 3, axis=2)
    expected[:20] = 0
    np.testing.assert_array_equal(both(tmp_path / "b.tif"), expected)


def test_white_zeros_palettes_and_no_data(tmp_path, photograph):
    grey = photograph[:, :, 0]
    save_tiff(tmp_path / "white.tif", grey, photometric="MINISWHITE")
    np.testing.assert_array_equal(both(tmp_path / "white.tif")[:, :, 0], 255 - grey)
    deep = grey.astype(np.uint16) * 16
    save_tiff(tmp_path / "deep.tif", deep, photometric="MINISWHITE")
    found = both(tmp_path / "deep.tif")[:, :, 0]
    assert np.abs(found - (255 - stretched(deep))).max() <= 0.51
    colors = {0: (255, 0, 0, 255), 1: (0, 255, 0, 255), 2: (9, 8, 7, 255), 3: (1, 2, 3, 255)}
    save_tiff(tmp_path / "palette.tif", grey % 4, colormap=colors)
    expected = np.array([colors[n][2::-1] for n in range(4)])[grey % 4]
    np.testing.assert_array_equal(both(tmp_path / "palette.tif"), expected)
    PIL.Image.fromarray(photograph).quantize(16).save(tmp_path / "palette.png")
    expected = np.asarray(PIL.Image.open(tmp_path / "palette.png").convert("RGB"))[:, :, ::-1]
    np.testing.assert_array_equal(both(tmp_path / "palette.png"), expected)
    holed = photograph.copy()
    holed[holed == 7] = 8
    holed[10:20] = 7
    save_tiff(tmp_path / "nodata.tif", holed, nodata=7)
    assert (both(tmp_path / "nodata.tif")[10:20] == 0).all()


def test_cmyk(tmp_path, photograph):
    picture = PIL.Image.fromarray(photograph).convert("CMYK")
    for ending in ("tif", "jpg"):
        picture.save(tmp_path / f"a.{ending}", quality=100)
        difference = both(tmp_path / f"a.{ending}")[:, :, ::-1].astype(int) - photograph
        assert np.abs(difference).mean() < 4


def upright(image, orientation):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    stored = io.BytesIO()
    PIL.Image.fromarray(image).save(stored, "PNG", exif=exif)
    return np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(stored)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["tif", "png", "jpg", "webp", "avif"])
def test_orientation_is_applied(orientation, ending, tmp_path, photograph, monkeypatch):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{ending}"
    PIL.Image.fromarray(photograph).save(path, exif=exif, quality=95)
    expected = upright(photograph, orientation)[:, :, ::-1].astype(int)
    limit = 0 if ending in ("tif", "png") else 5
    assert np.abs(both(path) - expected).mean() <= limit
    # The same by windows, as a file is read that is too large to be decoded whole.
    monkeypatch.setattr("smallobj.images.raster.MOST_WHOLE_PIXELS", 100)
    monkeypatch.setattr("smallobj.images.raster._CHUNK_BYTES", WIDTH * 3 * 7)
    with Raster(path) as raster:
        height, width = raster.size
        assert np.abs(raster.read((0, 0, width, height)) - expected).mean() <= limit
        cut = raster.read((5, 9, width - 6, height - 3))
    assert np.abs(cut - expected[9 : height - 3, 5 : width - 6]).mean() <= limit


def test_orientation_of_sixteen_bits(tmp_path, photograph):
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    deep = photograph[:, :, 0].astype(np.uint16) * 16
    for ending in ("png", "tif"):
        PIL.Image.fromarray(deep).save(tmp_path / f"a.{ending}", exif=exif)
        image = both(tmp_path / f"a.{ending}")
        assert np.abs(image[:, :, 0] - np.rot90(stretched(deep), -1)).max() <= 0.51


def test_a_coordinate_system_turns_with_the_image(tmp_path, photograph):
    place = rasterio.transform.from_origin(1000, 2000, 2, 2)
    path = tmp_path / "a.tif"
    save_tiff(path, photograph, crs="EPSG:32652", transform=place)
    data = bytearray(path.read_bytes())
    # A sixth of the twelve bytes of any tag that is not needed becomes the orientation.
    at = data.index((284).to_bytes(2, "little") + b"\x03\0")
    data[at : at + 12] = b"\x12\x01\x03\0\1\0\0\0\6\0\0\0"
    path.write_bytes(data)
    with Raster(path) as raster:
        assert raster.size == (WIDTH, HEIGHT)
        # The upright image's right upper corner is the stored image's left upper one.
        assert raster.transform @ (HEIGHT, 0) == (1000, 2000)
        assert raster.transform @ (0, 0) == (1000, 2000 - 2 * HEIGHT)


def test_bands_are_chosen_by_number(tmp_path, photograph):
    many = np.dstack([photograph, 255 - photograph])
    save_tiff(tmp_path / "a.tif", many)
    chosen = PixelConversion(bands=(4, 2, 6))
    np.testing.assert_array_equal(
        both(tmp_path / "a.tif", chosen)[:, :, ::-1], many[:, :, [3, 1, 5]]
    )
    grey = both(tmp_path / "a.tif", PixelConversion(bands=(5,)))
    np.testing.assert_array_equal(grey, np.repeat(many[:, :, 4:5], 3, axis=2))
    # Infrared in the place of a PNG's alpha.
    PIL.Image.fromarray(many[:, :, :4]).save(tmp_path / "a.png")
    chosen = PixelConversion(bands=(4, 1, 2))
    np.testing.assert_array_equal(
        both(tmp_path / "a.png", chosen)[:, :, ::-1], many[:, :, [3, 0, 1]]
    )
    for ending in ("webp", "jpg", "ppm", "gif"):
        PIL.Image.fromarray(photograph).save(tmp_path / f"a.{ending}")
        swapped = both(tmp_path / f"a.{ending}", PixelConversion(bands=(3, 2, 1)))
        np.testing.assert_array_equal(swapped, both(tmp_path / f"a.{ending}")[:, :, ::-1])


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "grey.jpg", "grey.png"])
def test_a_file_without_a_chosen_band_is_refused(name, tmp_path, photograph):
    picture = PIL.Image.fromarray(photograph)
    (picture.convert("L") if "grey" in name else picture).save(tmp_path / name)
    has = "1 band" if "grey" in name else "3 bands"
    told = rf"{name}: the file has {has}, and INPUT.BANDS \(1, 2, 5\) needs band"
    for reader in (read_image, Raster):
        with pytest.raises(ValueError, match=told):
            reader(tmp_path / name, conversion=PixelConversion(bands=(1, 2, 5)))


def test_limits_of_the_config_or_of_the_type(tmp_path):
    values = np.linspace(0, 4095, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    save_tiff(tmp_path / "a.tif", values)
    fixed = both(tmp_path / "a.tif", PixelConversion("range", (1000.0, 3000.0)))[:, :, 0]
    assert np.abs(fixed - np.clip((values - 1000.0) / 2000 * 255, 0, 255)).max() <= 0.51
    same = both(tmp_path / "a.tif", PixelConversion("dataset", (1000.0, 3000.0)))[:, :, 0]
    np.testing.assert_array_equal(same, fixed)
    with pytest.raises(ValueError, match=r"a\.tif: INPUT.BIT_DEPTH.MODE dataset needs LOW and"):
        read_image(tmp_path / "a.tif", conversion=PixelConversion("dataset"))
    # Twelve bits that the file calls twelve fill the range.
    save_tiff(tmp_path / "b.tif", values, nbits=12)
    full = both(tmp_path / "b.tif", PixelConversion("full"))[:, :, 0]
    assert np.abs(full - values / 4095 * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "best"}, "INPUT.BIT_DEPTH.MODE"),
        ({"mode": "range"}, "LOW must be below INPUT.BIT_DEPTH.HIGH; got 0.0 and 0.0"),
        ({"limits": (3.0, 1.0)}, "got 3.0 and 1.0"),
        ({"percentiles": (99.0, 1.0)}, "two rising numbers from 0 to 100"),
        ({"bands": (1, 2)}, r"INPUT.BANDS must be .*; got \(1, 2\)"),
        ({"bands": (0,)}, r"got \(0,\)"),
    ],
)
def test_wrong_keys_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        PixelConversion(**options)
