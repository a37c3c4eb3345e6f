"""Reading windows of the stored values of an image file through GDAL."""

from __future__ import annotations

import os
import warnings

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from smallobj.images.broken import BrokenImageError
from smallobj.images.layout import find_layout
from smallobj.images.orientation import Box

# The kind, known from the first bytes, chooses the driver, not the file's name: some of GDAL's
# formats refer to other files or hosts, which an untrusted file must not make us open.
DRIVERS = {
    "TIFF": "GTiff",
    "JPEG 2000": "JP2OpenJPEG",
    "PNG": "PNG",
    "JPEG": "JPEG",
    "BMP": "BMP",
    "netpbm": "PNM",
}
_OPTIONS = {
    # Listing a folder of a million files to look for sidecar files takes longer than reading one.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    # For a truncated file libjpeg only warns, and fills in the missing part with grey.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
}
_LEAST_CACHE, _MOST_CACHE = 64 << 20, 512 << 20
_ERRORS = (RasterioError, CPLE_BaseError)


class GdalFile:
    """An open file, in the frame in which it is stored.

    Attributes:
        path: the file.
        size: (h, w).
        count: number of bands.
        dtype: type of the values.
        crs, transform: as rasterio gives them.
        layout: which bands are read, and how they become colours.
        block_lines: number of lines of a block.
    """

    def __init__(
        self, path: str, kind: str, bands: tuple[int, ...] = (), level: int | None = None
    ) -> None:
        """
        Args:
            path: the file.
            kind: a key of DRIVERS.
            bands: INPUT.BANDS.
            level: number of an overview to open instead of the full image.

        Raises:
            BrokenImageError: a broken header, or pixels that are not real numbers.
            MissingBandError: the file lacks a band of INPUT.BANDS.
        """
        self.path = path
        self._arguments = (path, kind, bands)
        overview = {} if level is None else {"overview_level": level}
        try:
            with warnings.catch_warnings(), rasterio.Env(**_OPTIONS):
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self._file = rasterio.open(path, driver=DRIVERS[kind], **overview)
                try:
                    self._look(bands)
                except BaseException:
                    self._file.close()
                    raise
        except _ERRORS as error:
            raise BrokenImageError(f"{path}: broken file ({_reason(error, path)})") from error

    def _look(self, bands: tuple[int, ...]) -> None:
        file = self._file
        self.size: tuple[int, int] = file.shape
        self.count: int = file.count
        self.dtype = np.dtype(file.dtypes[0])
        self.crs = file.crs
        self.transform = file.transform
        self.block_lines: int = file.block_shapes[0][0]
        self.layout = find_layout(file, self.path, bands)
        # GDAL's cache: two rows of the file's blocks, within limits.
        rows = 2 * self.block_lines * self.line_bytes(self.size[1])
        self._cache = min(max(rows, _LEAST_CACHE), _MOST_CACHE)

    def line_bytes(self, width: int) -> int:
        """Bytes of the values of a line of all bands."""
        return width * self.count * self.dtype.itemsize

    def overview_steps(self) -> list[int]:
        """How many pixels of the image a pixel of each overview stands for, along a side."""
        return list(self._file.overviews(1))

    def overview(self, level: int) -> GdalFile:
        """A reduced copy stored in the file."""
        return GdalFile(*self._arguments, level=level)

    def read(self, window: Box) -> tuple[np.ndarray, np.ndarray | None]:
        """The chosen bands (B, h, w) as stored, and which pixels have data, (h, w) bool or None.

        Raises:
            BrokenImageError: the file is broken there.
        """
        x0, y0, x1, y1 = window
        layout, place = self.layout, Window(x0, y0, x1 - x0, y1 - y0)
        bands = layout.bands if layout.alpha is None else (*layout.bands, layout.alpha)
        valid = None
        try:
            with rasterio.Env(GDAL_CACHEMAX=self._cache, **_OPTIONS):
                data = self._file.read(bands, window=place)
                if layout.is_masked:
                    valid = self._file.read_masks(1, window=place) > 0
        except _ERRORS as error:
            raise BrokenImageError(
                f"{self.path}: lines {y0} to {y1} can't be read ({_reason(error, self.path)})"
            ) from error
        if layout.alpha is not None:
            data, valid = data[:-1], data[-1] > 0
        holes = self._holes(data)
        if holes is not None:
            valid = ~holes if valid is None else valid & ~holes
        return data, valid

    def _holes(self, data: np.ndarray) -> np.ndarray | None:
        """Pixels with the nodata value in all bands, or that are not a number in one."""
        holes = None
        if self.layout.nodata is not None and self.layout.palette is None:
            holes = (data == self.layout.nodata).all(axis=0)
        if data.dtype.kind == "f":
            not_numbers = np.isnan(data).any(axis=0)
            holes = not_numbers if holes is None else holes | not_numbers
        return holes

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _reason(error: BaseException, path: str) -> str:
    """GDAL's error message in one line; rasterio keeps it in the error's cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "errmsg", "") or error).split("\n")[0]
    for name in (path, os.path.basename(path)):
        text = text.replace(f"{name}: ", "").replace(f"{name}, ", "")
    return text.rstrip(". ")
