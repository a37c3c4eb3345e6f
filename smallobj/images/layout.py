"""Which bands of a file that GDAL reads are its colours, and which pixels have no data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from smallobj.images.broken import BrokenImageError

# In these alpha 0 marks pixels without data. In other kinds it is transparency, and the colours
# below it are a picture's own.
_ALPHA_IS_MASK = ("GTiff", "JP2OpenJPEG")


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file's values are converted to colours.

    Attributes:
        bands: numbers, from 1, of the grey band, or of the red, green and blue bands.
        alpha: number of the band whose 0 marks pixels without data.
        is_masked: whether the file has a mask of the pixels without data.
        nodata: the value of pixels without data.
        palette: (N, 3) uint8 BGR.
        table: (256,) uint8, look-up table for 8-bit values.
        is_white_zero: whether 0 is white in a band of more than 8 bits.
        bits: how many bits of a value are used, None for all.
    """

    bands: tuple[int, ...]
    alpha: int | None = None
    is_masked: bool = False
    nodata: float | None = None
    palette: np.ndarray | None = None
    table: np.ndarray | None = None
    is_white_zero: bool = False
    bits: int | None = None


def find_layout(file: Any, path: str, chosen: tuple[int, ...]) -> Layout:
    """Finds out how an open rasterio data set is converted.

    Args:
        file: the data set.
        path: for messages.
        chosen: INPUT.BANDS.

    Raises:
        ValueError: pixels are not real numbers, or the file lacks a chosen band.
    """
    if np.dtype(file.dtypes[0]).kind not in "uif":
        raise BrokenImageError(f"{path}: pixels must be real numbers; got {file.dtypes[0]}")
    colors = list(file.colorinterp)
    palette = _palette(file) if colors[0] is ColorInterp.palette else None
    check_bands(path, chosen, 3 if palette is not None else file.count)
    alpha = colors.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colors else None
    bands = _color_bands(colors, alpha)
    if palette is not None and chosen:
        palette = palette[:, [3 - band for band in reversed(_three(chosen))]]
    elif chosen:
        bands = chosen
    has_mask = file.driver in _ALPHA_IS_MASK
    flags = file.mask_flag_enums[bands[0] - 1]
    bits = file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    is_white_zero = file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    is_deep = file.dtypes[0] != "uint8"
    return Layout(
        bands=bands,
        alpha=None if not has_mask or alpha in bands else alpha,
        is_masked=has_mask and MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        nodata=file.nodata if has_mask else None,
        palette=palette,
        table=None if is_deep else _table(int(bits or 8), is_white_zero),
        is_white_zero=is_deep and is_white_zero,
        bits=int(bits) if bits else None,
    )


class MissingBandError(ValueError):
    """A file lacks a band of INPUT.BANDS."""


def check_bands(path: str, chosen: tuple[int, ...], count: int) -> None:
    """Raises MissingBandError if a file of ``count`` bands lacks a band of INPUT.BANDS."""
    lacking = [band for band in chosen if band > count]
    if lacking:
        has = "1 band" if count == 1 else f"{count} bands"
        told = f"INPUT.BANDS {chosen} needs band {lacking[0]}"
        raise MissingBandError(f"{path}: the file has {has}, and {told}")


def choose_channels(image: np.ndarray, chosen: tuple[int, ...]) -> np.ndarray:
    """The bands of INPUT.BANDS of a decoded image, in which red is band 1, green 2 and blue 3.

    Args:
        image: (H, W, 3) uint8, BGR.
        chosen: one band or three, each from 1 to 3.

    Returns:
        (H, W, 3) uint8.
    """
    return np.ascontiguousarray(image[:, :, [3 - band for band in reversed(_three(chosen))]])


def _three(chosen: tuple[int, ...]) -> tuple[int, ...]:
    return chosen * 3 if len(chosen) == 1 else chosen


def _color_bands(colors: list[ColorInterp], alpha: int | None) -> tuple[int, ...]:
    named = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(color in colors for color in named):
        return tuple(colors.index(color) + 1 for color in named)
    plain = [number for number in range(1, len(colors) + 1) if number != alpha]
    # A file whose only band is called alpha still has that band.
    return tuple(plain[:3] if len(plain) >= 3 else plain[:1]) or (1,)


def _palette(file: Any) -> np.ndarray:
    colors = np.zeros((np.iinfo(file.dtypes[0]).max + 1, 3), dtype=np.uint8)
    has_mask = file.driver in _ALPHA_IS_MASK
    for value, (red, green, blue, alpha) in file.colormap(1).items():
        if not has_mask or (alpha > 0 and value != file.nodata):
            colors[value] = blue, green, red
    return colors


def _table(bits: int, is_white_zero: bool) -> np.ndarray | None:
    """Look-up table for 8-bit bands that use fewer bits, or in which 0 is white; else None."""
    if bits >= 8 and not is_white_zero:
        return None
    most = (1 << min(bits, 8)) - 1
    values = np.arange(256).clip(0, most) * 255 // most
    return (255 - values if is_white_zero else values).astype(np.uint8)
