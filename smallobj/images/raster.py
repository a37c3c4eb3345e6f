"""Reading windows of image files of any size, such as 40,000 pixels a side."""

from __future__ import annotations

import dataclasses
import os
import warnings
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

# The first bytes choose the driver, not the file's name: some of GDAL's formats refer to other
# files or hosts, which an untrusted file must not make us open.
_SIGNATURES = (
    (b"II*\0", "GTiff"),
    (b"MM\0*", "GTiff"),
    (b"II+\0", "GTiff"),  # BigTIFF
    (b"MM\0+", "GTiff"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xffO\xffQ", "JP2OpenJPEG"),  # bare codestream
    (b"BM", "BMP"),
)
_FORMATS = {
    "GTiff": "TIFF",
    "JP2OpenJPEG": "JPEG 2000",
    "PNG": "PNG",
    "JPEG": "JPEG",
    "BMP": "BMP",
}
_OPTIONS = {
    # Listing a folder of a million files to look for sidecar files takes longer than reading one.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    # For a truncated file libjpeg only warns, and fills in the missing part with grey.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
}
_CHUNK_BYTES = 32 << 20
_LEAST_CACHE, _MOST_CACHE = 64 << 20, 512 << 20
# Windows per side of the grid that the contrast stretch samples, and their side in pixels.
_SAMPLES, _SAMPLE_SIDE = 8, 256
_STRETCH_PERCENTILES = (0.5, 99.5)

Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How a file's pixel values are converted to colours."""

    # Numbers, from 1, of the grey band, or of the red, green and blue bands.
    bands: tuple[int, ...]
    alpha: int | None
    # Whether the file has a mask of the pixels without data.
    is_masked: bool
    nodata: float | None
    # Palette (N, 3) uint8 BGR; look-up table (256,) uint8 for the values of a band.
    palette: np.ndarray | None = None
    table: np.ndarray | None = None


class Raster(AbstractContextManager["Raster"]):
    """An image file that is read by windows; a context manager that closes the file.

    Reads TIFF (tiled or not, BigTIFF, GeoTIFF), JPEG 2000, PNG, JPEG and BMP. The colours are the
    bands that the file marks as red, green and blue; otherwise the first three bands, or the first
    band as grey if there are fewer than three besides alpha. Values of more than 8 bits are
    stretched to 0-255 between the 0.5th and the 99.5th percentile of 8 x 8 windows of 256 x 256
    pixels spread evenly over the file; all bands share one stretch. Pixels without data (nodata
    value, mask, alpha 0, not a number) are black.

    Reading from top to bottom in strips as wide as the file decodes each pixel about once, in
    every format. Only the strip and a cache of at most 512 MiB are in memory.

    Attributes:
        path: the file.
        format: "TIFF", "JPEG 2000", "PNG", "JPEG" or "BMP".
        size: (h, w).
        bands: number of bands in the file.
        dtype: NumPy's name of the type of the file's values.
        crs: rasterio's coordinate reference system, or None.
        transform: affine map from (column, row) of pixel corners to the system's coordinates.
        orientation: EXIF orientation of a JPEG; 1 is upright. It is not applied.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Raises:
            FileNotFoundError: there is no such file.
            ValueError: an unsupported format, a broken header, or pixels that are not real numbers.
        """
        self.path = os.fspath(path)
        driver = _driver(self.path)
        self.format = _FORMATS[driver]
        if driver == "PNG":
            _check_png_end(self.path)
        with warnings.catch_warnings(), rasterio.Env(**_OPTIONS):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                self._file = rasterio.open(self.path, driver=driver)
            except RasterioError as error:
                reason = _reason(error, self.path)
                raise ValueError(f"{self.path}: broken file ({reason})") from error
            self.size: tuple[int, int] = self._file.shape
            self.bands: int = self._file.count
            self.dtype: str = self._file.dtypes[0]
            self.crs = self._file.crs
            self.transform = self._file.transform
            self.orientation = int(self._file.tags().get("EXIF_Orientation", 1))
            self._cache = self._cache_bytes()
            self._stretch: tuple[float, float] | None = None
            try:
                self._layout = _layout(self._file, self.path)
            except BaseException:
                self._file.close()
                raise

    @property
    def is_georeferenced(self) -> bool:
        """Whether the file has a coordinate reference system and an affine transform."""
        return self.crs is not None and not self.transform.is_identity

    def read(self, window: Box, out: np.ndarray | None = None) -> np.ndarray:
        """Reads a window of the image.

        Args:
            window: (x0, y0, x1, y1) inside the image, end exclusive.
            out: contiguous array to write to, of the returned array's shape and type.

        Returns:
            (y1 - y0, x1 - x0, 3) uint8, BGR.

        Raises:
            ValueError: the window is not inside the image, or the file is broken there.
        """
        x0, y0, x1, y1 = window
        height, width = self.size
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(f"a window must lie in the {width}x{height} image; got {window}")
        image = np.empty((y1 - y0, x1 - x0, 3), dtype=np.uint8) if out is None else out
        lines = self._chunk_lines(x1 - x0)
        top = y0
        while top < y1:
            # Chunks end on the borders of the file's blocks, so that no block is decoded twice.
            bottom = min((top // lines + 1) * lines, y1)
            part = image[top - y0 : bottom - y0]
            self._convert(self._read_bands((x0, top, x1, bottom)), part)
            top = bottom
        return image

    def reduced(self, longest: int) -> np.ndarray:
        """The whole image, reduced to at most ``longest`` pixels a side; uses overviews if any.

        The file is read in strips.

        Returns:
            (h, w, 3) uint8, BGR; each pixel is the mean of those that it covers.

        Raises:
            ValueError: as :meth:`read`.
        """
        factor = max(1.0, max(self.size) / longest)
        levels = [
            (level, step) for level, step in enumerate(self._file.overviews(1)) if step <= factor
        ]
        if levels:
            with _Overview(self, levels[-1][0]) as overview:
                return overview.reduced(longest)
        height, width = (max(1, round(side / factor)) for side in self.size)
        if factor == 1.0:
            return self.read((0, 0, self.size[1], self.size[0]))
        image = np.empty((height, width, 3), dtype=np.uint8)
        step = max(1, self._chunk_lines(self.size[1]) * height // self.size[0])
        for row in range(0, height, step):
            end = min(row + step, height)
            first, last = (self.size[0] * edge // height for edge in (row, end))
            strip = self.read((0, first, self.size[1], last))
            cv2.resize(strip, (width, end - row), dst=image[row:end], interpolation=cv2.INTER_AREA)
        return image

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line_bytes(self, width: int) -> int:
        return width * self.bands * np.dtype(self.dtype).itemsize

    def _cache_bytes(self) -> int:
        """Size of GDAL's cache: two rows of the file's blocks, within limits."""
        rows = 2 * self._file.block_shapes[0][0] * self._line_bytes(self.size[1])
        return min(max(rows, _LEAST_CACHE), _MOST_CACHE)

    def _chunk_lines(self, width: int) -> int:
        lines = max(1, _CHUNK_BYTES // self._line_bytes(width))
        block = self._file.block_shapes[0][0]
        return max(lines // block * block, min(lines, block))

    def _read_bands(self, window: Box) -> tuple[np.ndarray, np.ndarray | None]:
        """The chosen bands (B, h, w) as stored, and which pixels have data, (h, w) bool or None."""
        x0, y0, x1, y1 = window
        layout, place = self._layout, Window(x0, y0, x1 - x0, y1 - y0)
        bands = layout.bands if layout.alpha is None else (*layout.bands, layout.alpha)
        valid = None
        try:
            with rasterio.Env(GDAL_CACHEMAX=self._cache, **_OPTIONS):
                data = self._file.read(bands, window=place)
                if layout.is_masked:
                    valid = self._file.read_masks(1, window=place) > 0
        except RasterioError as error:
            raise ValueError(
                f"{self.path}: lines {y0} to {y1} can't be read ({_reason(error, self.path)})"
            ) from error
        if layout.alpha is not None:
            data, valid = data[:-1], data[-1] > 0
        holes = None
        if layout.nodata is not None and layout.palette is None:
            holes = (data == layout.nodata).all(axis=0)
        if data.dtype.kind == "f":
            not_numbers = np.isnan(data).any(axis=0)
            holes = not_numbers if holes is None else holes | not_numbers
        if holes is not None:
            valid = ~holes if valid is None else valid & ~holes
        return data, valid

    def _convert(self, read: tuple[np.ndarray, np.ndarray | None], image: np.ndarray) -> None:
        """Converts bands and valid pixels to colours; writes to ``image`` (h, w, 3) uint8, BGR."""
        (data, valid), layout = read, self._layout
        if layout.palette is not None:
            image[:] = layout.palette[data[0]]
        else:
            planes = list(data) if data.dtype == np.uint8 else [self._stretched(b) for b in data]
            if layout.table is not None:
                planes = [cv2.LUT(plane, layout.table) for plane in planes]
            cv2.merge(planes[::-1] if len(planes) == 3 else planes * 3, dst=image)
        if valid is not None:
            image[~valid] = 0

    def _stretched(self, band: np.ndarray) -> np.ndarray:
        if self._stretch is None:
            self._stretch = self._find_stretch()
        low, high = self._stretch
        numbers: Any = band.astype(np.float32 if band.dtype.itemsize <= 2 else np.float64)
        scaled = (numbers - low) * (255 / (high - low))
        return np.nan_to_num(scaled.round().clip(0, 255)).astype(np.uint8)

    def _find_stretch(self) -> tuple[float, float]:
        """The values that are mapped to 0 and 255."""
        height, width = self.size
        tall, wide = min(_SAMPLE_SIDE, height), min(_SAMPLE_SIDE, width)
        values = []
        for y in np.unique(np.linspace(0, height - tall, _SAMPLES).astype(int)).tolist():
            for x in np.unique(np.linspace(0, width - wide, _SAMPLES).astype(int)).tolist():
                data, valid = self._read_bands((x, y, x + wide, y + tall))
                values.append((data if valid is None else data[:, valid]).ravel())
        every = np.concatenate(values)
        every = every[np.isfinite(every)]
        if not len(every):
            return 0.0, 1.0
        low, high = np.percentile(every, _STRETCH_PERCENTILES).tolist()
        return (low, high) if high > low else (low, low + 1.0)


class _Overview(Raster):
    """A reduced copy stored in the file, with the contrast stretch of the full image."""

    def __init__(self, raster: Raster, level: int) -> None:
        super().__init__(raster.path)
        if np.dtype(raster.dtype) != np.uint8 and raster._stretch is None:
            raster._stretch = raster._find_stretch()
        whole = self._file
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._file = rasterio.open(raster.path, driver=whole.driver, overview_level=level)
        whole.close()
        self.size = self._file.shape
        self._stretch = raster._stretch


def _driver(path: str) -> str:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such image file")
    with open(path, "rb") as stream:
        start = stream.read(12)
    for signature, driver in _SIGNATURES:
        if start.startswith(signature):
            return driver
    raise ValueError(f"{path}: not one of the formats {', '.join(_FORMATS.values())}")


def _check_png_end(path: str) -> None:
    """Raises ValueError for a truncated PNG, which GDAL reads without an error."""
    with open(path, "rb") as stream:
        stream.seek(max(0, os.path.getsize(path) - 4096))
        if b"IEND" not in stream.read():
            raise ValueError(f"{path}: truncated PNG, its end marker is missing")


def _reason(error: BaseException, path: str) -> str:
    """GDAL's error message in one line; rasterio keeps it in the error's cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "errmsg", "") or error).split("\n")[0]
    for name in (path, os.path.basename(path)):
        text = text.replace(f"{name}: ", "").replace(f"{name}, ", "")
    return text.rstrip(". ")


def _layout(file: Any, path: str) -> _Layout:
    """
    Raises:
        ValueError: pixels are not real numbers.
    """
    if np.dtype(file.dtypes[0]).kind not in "uif":
        raise ValueError(f"{path}: pixels must be real numbers; got {file.dtypes[0]}")
    colors = list(file.colorinterp)
    alpha = colors.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colors else None
    named = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    plain = [number for number in range(1, file.count + 1) if number != alpha]
    if all(color in colors for color in named):
        bands = tuple(colors.index(color) + 1 for color in named)
    else:
        bands = tuple(plain[:3] if len(plain) >= 3 else plain[:1])
    flags = file.mask_flag_enums[bands[0] - 1]
    return _Layout(
        bands=bands,
        alpha=alpha,
        is_masked=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        nodata=file.nodata,
        palette=_palette(file) if colors[0] is ColorInterp.palette else None,
        table=_table(file),
    )


def _palette(file: Any) -> np.ndarray:
    colors = np.zeros((np.iinfo(file.dtypes[0]).max + 1, 3), dtype=np.uint8)
    for value, (red, green, blue, alpha) in file.colormap(1).items():
        if alpha > 0 and value != file.nodata:
            colors[value] = blue, green, red
    return colors


def _table(file: Any) -> np.ndarray | None:
    """Look-up table for 8-bit bands that use fewer bits, or in which 0 is white; else None."""
    bits = int(file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    is_white_zero = file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    if file.dtypes[0] != "uint8" or (bits >= 8 and not is_white_zero):
        return None
    most = (1 << min(bits, 8)) - 1
    values = np.arange(256).clip(0, most) * 255 // most
    return (255 - values if is_white_zero else values).astype(np.uint8)
