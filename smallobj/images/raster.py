"""Reading windows of image files of any size, such as 40,000 pixels a side."""

from __future__ import annotations

import copy
import os
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np

from smallobj.images.broken import BrokenImageError
from smallobj.images.decoding import decode_file
from smallobj.images.gdal_file import DRIVERS, GdalFile
from smallobj.images.kinds import KINDS, read_start
from smallobj.images.layout import MissingBandError
from smallobj.images.orientation import (
    Box,
    is_turned_sideways,
    orientation_of,
    stored_from_upright,
    stored_window,
    turn,
)
from smallobj.images.pixels import DEFAULT_CONVERSION, Limits, PixelConversion, Scale
from smallobj.images.size import read_size

_CHUNK_BYTES = 32 << 20
# Up to this many pixels, a file of these kinds is decoded whole by the decoder of whole images,
# so that a scan sees the very same pixels.
MOST_WHOLE_PIXELS = 100_000_000
_EITHER_WAY = ("JPEG", "PNG", "BMP")
# Windows per side of the grid that the contrast stretch samples, and their side in pixels.
_SAMPLES, _SAMPLE_SIDE = 8, 256


class Raster(AbstractContextManager["Raster"]):
    """An image file that is read by windows; a context manager that closes the file.

    Reads TIFF (tiled or not, BigTIFF, GeoTIFF), JPEG 2000, PNG, JPEG, BMP, WebP, GIF, AVIF and
    netpbm. The colours are those of INPUT.BANDS; otherwise the bands that the file marks as red,
    green and blue; otherwise the first three bands, or the first band as grey if there are fewer
    than three besides alpha. Values of more than 8 bits are converted as a
    :class:`PixelConversion` says; its percentiles are those of 8 x 8 windows of 256 x 256 pixels
    spread evenly over the file, of all bands together. In TIFF and JPEG 2000, pixels without data
    (nodata value, mask, alpha 0, not a number) are black. Orientation is applied.

    JPEG, PNG and BMP of 8 bits with at most 100 megapixels, and the kinds from WebP on, are decoded
    whole. Others are read by windows: from top to bottom in strips as wide as the file each pixel
    is decoded about once, in every format, if no orientation turns the lines. Only the strip and a
    cache of at most 512 MiB are in memory.

    Attributes:
        path: the file.
        format: one of :data:`smallobj.images.kinds.KINDS`.
        size: (h, w) of the upright image.
        bands: number of bands in the file; 3 where that isn't known.
        dtype: NumPy's name of the type of the file's values.
        crs: rasterio's coordinate reference system, or None.
        transform: affine map from (column, row) of pixel corners to the system's coordinates; None
            for kinds without.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        conversion: PixelConversion = DEFAULT_CONVERSION,
    ) -> None:
        """
        Raises:
            FileNotFoundError: there is no such file.
            ValueError: an unsupported format, a broken header, pixels that are not real numbers, or
                a band of INPUT.BANDS is lacking.
        """
        self.path = os.fspath(path)
        self.conversion = conversion
        start = read_start(self.path)
        if not start.kind:
            raise BrokenImageError(f"{self.path}: not one of the formats {', '.join(KINDS)}")
        self.format = start.kind
        self._gdal: GdalFile | None = None
        self._pixels: np.ndarray | None = None
        self._scale: Scale | None = None
        self._orientation = 1
        is_whole = not start.is_deep and self.format not in ("TIFF", "JPEG 2000")
        if self.format in DRIVERS:
            self._gdal = self._open(is_whole)
        self._is_whole = is_whole and not self._exceeds(start.kind)
        if self._gdal:
            self._orientation = orientation_of(self.path, self.format)
            self.size = self._upright(self._gdal.size)
        else:
            self.size = _header_size(self.path)
        self._describe()

    def _open(self, is_whole: bool) -> GdalFile | None:
        try:
            return GdalFile(self.path, self.format, self.conversion.bands)
        except MissingBandError:
            raise
        except ValueError:
            # Of a file that is decoded whole GDAL only knows more, such as a coordinate system.
            if is_whole:
                return None
            raise

    def _exceeds(self, kind: str) -> bool:
        """Whether a file that could be decoded whole is read by windows all the same."""
        if kind not in _EITHER_WAY or self._gdal is None:
            return False
        # The decoder of whole images gives colours alone, without alpha.
        chosen = bool(self.conversion.bands) and kind != "JPEG"
        return chosen or self._gdal.size[0] * self._gdal.size[1] > MOST_WHOLE_PIXELS

    def _describe(self) -> None:
        gdal = self._gdal
        self.bands = gdal.count if gdal else 3
        self.dtype = str(gdal.dtype) if gdal else "uint8"
        self.crs: Any = gdal.crs if gdal else None
        self.transform: Any = gdal.transform if gdal else None
        if gdal and self._orientation != 1:
            coefficients = stored_from_upright(gdal.size, self._orientation)
            self.transform = gdal.transform @ type(gdal.transform)(*coefficients)

    @property
    def bits(self) -> str:
        """Bits of a value: "8", "16", "12 of 16", "32 float"."""
        dtype = np.dtype(self.dtype)
        stored = str(8 * dtype.itemsize)
        if dtype.kind == "f":
            return f"{stored} float"
        used = self._gdal.layout.bits if self._gdal else None
        return f"{used} of {stored}" if used and str(used) != stored else stored

    def _stored(self) -> GdalFile:
        assert self._gdal is not None
        return self._gdal

    def _upright(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[::-1] if is_turned_sideways(self._orientation) else size

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
        if self._is_whole:
            image[:] = self._whole()[y0:y1, x0:x1]
        elif self._orientation == 1:
            self._read_stored(window, image)
        else:
            stored = stored_window(window, self._stored().size, self._orientation)
            shape = (stored[3] - stored[1], stored[2] - stored[0], 3)
            turned = self._read_stored(stored, np.empty(shape, dtype=np.uint8))
            image[:] = turn(turned, self._orientation)
        return image

    def _whole(self) -> np.ndarray:
        if self._pixels is None:
            pixels = decode_file(self.path, self.format, bands=self.conversion.bands)
            if pixels.shape[:2] != self.size:
                told, found = (f"{w}x{h}" for h, w in (self.size, pixels.shape[:2]))
                raise BrokenImageError(
                    f"{self.path}: its header says {told} pixels, it has {found}"
                )
            self._pixels = pixels
        return self._pixels

    def _read_stored(self, window: Box, image: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = window
        lines = self._chunk_lines(x1 - x0)
        top = y0
        while top < y1:
            # Chunks end on the borders of the file's blocks, so that no block is decoded twice.
            bottom = min((top // lines + 1) * lines, y1)
            part = image[top - y0 : bottom - y0]
            self._convert(self._stored().read((x0, top, x1, bottom)), part)
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
        if factor == 1.0:
            return self.read((0, 0, self.size[1], self.size[0]))
        height, width = (max(1, round(side / factor)) for side in self.size)
        if self._is_whole:
            return cv2.resize(self._whole(), (width, height), interpolation=cv2.INTER_AREA)
        steps = self._stored().overview_steps()
        levels = [level for level, step in enumerate(steps) if step <= factor]
        if levels:
            with self._overview(levels[-1]) as overview:
                return overview.reduced(longest)
        image = np.empty((height, width, 3), dtype=np.uint8)
        step = max(1, self._chunk_lines(self.size[1]) * height // self.size[0])
        for row in range(0, height, step):
            end = min(row + step, height)
            first, last = (self.size[0] * edge // height for edge in (row, end))
            strip = self.read((0, first, self.size[1], last))
            cv2.resize(strip, (width, end - row), dst=image[row:end], interpolation=cv2.INTER_AREA)
        return image

    def _overview(self, level: int) -> Raster:
        """A reduced copy stored in the file, with the contrast stretch of the full image."""
        if self.dtype != "uint8":
            self._scaling()
        overview = copy.copy(self)
        overview._gdal = self._stored().overview(level)
        overview.size = self._upright(overview._gdal.size)
        return overview

    def close(self) -> None:
        """Closes the file."""
        self._pixels = None
        if self._gdal:
            self._gdal.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chunk_lines(self, width: int) -> int:
        gdal = self._stored()
        lines = max(1, _CHUNK_BYTES // gdal.line_bytes(width))
        return max(lines // gdal.block_lines * gdal.block_lines, min(lines, gdal.block_lines))

    def _convert(self, read: tuple[np.ndarray, np.ndarray | None], image: np.ndarray) -> None:
        """Converts bands and valid pixels to colours; writes to ``image`` (h, w, 3) uint8, BGR."""
        (data, valid), layout = read, self._stored().layout
        if layout.palette is not None:
            image[:] = layout.palette[data[0]]
        else:
            planes = list(data) if data.dtype == np.uint8 else [self._scaling()(b) for b in data]
            if layout.table is not None:
                planes = [cv2.LUT(plane, layout.table) for plane in planes]
            if layout.is_white_zero:
                planes = [255 - plane for plane in planes]
            cv2.merge(planes[::-1] if len(planes) == 3 else planes * 3, dst=image)
        if valid is not None:
            image[~valid] = 0

    def _scaling(self) -> Scale:
        if self._scale is None:
            gdal = self._stored()
            self._scale = Scale(gdal.dtype, self.limits())
        return self._scale

    def limits(self) -> Limits:
        """The values that become 0 and 255, of a file of more than 8 bits."""
        gdal = self._stored()
        return self.conversion.limits_of(self.path, gdal.dtype, gdal.layout.bits, self.sample)

    def sample(self) -> np.ndarray:
        """(N,) stored values of the chosen bands, of pixels with data, in windows over the file.

        Raises:
            ValueError: the file is broken.
        """
        gdal = self._stored()
        height, width = gdal.size
        tall, wide = min(_SAMPLE_SIDE, height), min(_SAMPLE_SIDE, width)
        values = []
        for y in np.unique(np.linspace(0, height - tall, _SAMPLES).astype(int)).tolist():
            for x in np.unique(np.linspace(0, width - wide, _SAMPLES).astype(int)).tolist():
                data, valid = gdal.read((x, y, x + wide, y + tall))
                values.append((data if valid is None else data[:, valid]).ravel())
        return np.concatenate(values)


def _header_size(path: str) -> tuple[int, int]:
    size = read_size(path)
    if isinstance(size, Exception):
        raise BrokenImageError(f"{path}: {size}") from size
    return size
