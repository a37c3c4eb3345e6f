"""From a file's stored values to 8-bit pixels: INPUT.BIT_DEPTH and INPUT.BANDS."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from detectron2.config import CfgNode

from smallobj.checks import check_choice

MODES = ("percentile", "full", "range", "dataset")
Limits = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class PixelConversion:
    """How values become the uint8 pixels that a model takes; the same for every reader of files.

    8-bit values stay as they are. Of others, ``low`` becomes 0 and ``high`` 255, values between
    them are scaled linearly, and all bands of a file alike.

    Attributes:
        mode: where low and high come from. "percentile": from each file by itself. "full": the
            range of the type, and of floats 0 to 1. "range": ``limits``. "dataset": ``limits``,
            which were found in the training set.
        limits: (low, high); equal if not known yet.
        percentiles: those of a file's values that "percentile" maps to 0 and 255.
        bands: numbers, from 1, of the red, green and blue band, or of one band for grey; (): those
            that the file says.
    """

    mode: str = "percentile"
    limits: Limits = (0.0, 0.0)
    percentiles: tuple[float, float] = (0.5, 99.5)
    bands: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_choice("INPUT.BIT_DEPTH.MODE", self.mode, MODES)
        low, high = self.limits
        if low > high or (self.mode == "range" and low == high):
            raise ValueError(
                f"INPUT.BIT_DEPTH.LOW must be below INPUT.BIT_DEPTH.HIGH; got {low} and {high}"
            )
        first, last = self.percentiles
        if not 0 <= first < last <= 100:
            raise ValueError(
                "INPUT.BIT_DEPTH.PERCENTILES must be two rising numbers from 0 to 100; got "
                f"{self.percentiles}"
            )
        if len(self.bands) not in (0, 1, 3) or not all(
            isinstance(band, int) and band > 0 for band in self.bands
        ):
            raise ValueError(
                "INPUT.BANDS must be (), one band's number for grey, or three for red, green and "
                f"blue, from 1; got {self.bands}"
            )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> PixelConversion:
        """The conversion that a config chooses.

        Raises:
            ValueError: a key of INPUT.BIT_DEPTH or INPUT.BANDS has a wrong value.
        """
        node = cfg.INPUT.BIT_DEPTH
        percentiles = tuple(float(value) for value in node.PERCENTILES)
        if len(percentiles) != 2:
            raise ValueError(
                f"INPUT.BIT_DEPTH.PERCENTILES must be two numbers; got {node.PERCENTILES}"
            )
        return cls(
            mode=node.MODE,
            limits=(float(node.LOW), float(node.HIGH)),
            percentiles=(percentiles[0], percentiles[1]),
            bands=tuple(cfg.INPUT.BANDS),
        )

    def limits_of(
        self, path: str, dtype: np.dtype, bits: int | None, sample: Callable[[], np.ndarray]
    ) -> Limits:
        """The values of a file that become 0 and 255.

        Args:
            path: the file, for messages.
            dtype: type of its values.
            bits: how many of its bits are used, if the file says so.
            sample: (N,) values of the file; called if they are needed.

        Raises:
            ValueError: mode "dataset" without limits.
        """
        if self.mode == "full":
            return full_range(dtype, bits)
        if self.mode == "percentile":
            return percentile_limits(sample(), self.percentiles)
        if self.limits[0] == self.limits[1]:
            raise ValueError(
                f"{path}: INPUT.BIT_DEPTH.MODE dataset needs LOW and HIGH, which train_net.py "
                "finds in files of more than 8 bits of DATASETS.TRAIN and writes into config.yaml; "
                "both are 0"
            )
        return self.limits


DEFAULT_CONVERSION = PixelConversion()


def full_range(dtype: np.dtype, bits: int | None = None) -> Limits:
    """Lowest and highest value of a type, of which only some bits may be used; of floats 0 and 1.

    >>> full_range(np.dtype(np.uint16), 12)
    (0.0, 4095.0)
    """
    if dtype.kind == "f":
        return 0.0, 1.0
    if dtype.kind == "u" and bits is not None:
        return 0.0, float((1 << bits) - 1)
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def percentile_limits(values: np.ndarray, percentiles: tuple[float, float]) -> Limits:
    """Two percentiles of the finite ones of (N,) values; 1 apart if they are equal."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.percentile(finite, percentiles).tolist()
    return (low, high) if high > low else (low, low + 1.0)


class Scale:
    """Scales values of one type linearly to uint8, from ``limits`` to 0 and 255."""

    def __init__(self, dtype: np.dtype, limits: Limits) -> None:
        self._limits = limits
        self._table: np.ndarray | None = None
        if dtype.kind in "iu" and dtype.itemsize <= 2:
            # A table, in the order of the values' bit patterns, gives the same in a tenth the time.
            patterns = np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
            self._table = self._scaled(patterns.view(dtype))

    def __call__(self, band: np.ndarray) -> np.ndarray:
        """(h, w) uint8 of a band (h, w); not a number becomes 0."""
        if self._table is None:
            return self._scaled(band)
        return np.take(self._table, band.view(f"u{band.dtype.itemsize}"))

    def _scaled(self, band: np.ndarray) -> np.ndarray:
        low, high = self._limits
        numbers: Any = band.astype(np.float32 if band.dtype.itemsize <= 2 else np.float64)
        scaled = (numbers - low) * (255 / (high - low))
        return np.nan_to_num(scaled.round().clip(0, 255)).astype(np.uint8)
