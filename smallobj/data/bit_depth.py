"""Finds the range of values of the training set if the config asks for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from smallobj.images.pixels import PixelConversion, percentile_limits
from smallobj.images.raster import Raster

# Images looked at, evenly spread over the data, and values taken of each.
_MOST_IMAGES, _MOST_VALUES = 200, 50_000
_logger = logging.getLogger(__name__)


def resolve_bit_depth(cfg: CfgNode, names: Sequence[str] | None = None) -> CfgNode:
    """Finds INPUT.BIT_DEPTH.LOW and HIGH with MODE dataset, if both are 0.

    They are the percentiles INPUT.BIT_DEPTH.PERCENTILES of the values of files of more than 8 bits
    in DATASETS.TRAIN; of each file as many values count, and of many files 200 are looked at. The
    same data give the same limits. Without such a file both stay 0. The config is changed in place
    and returned.

    Args:
        cfg: the config.
        names: datasets to use instead of DATASETS.TRAIN.
    """
    node = cfg.INPUT.BIT_DEPTH
    conversion = PixelConversion.from_config(cfg)
    if conversion.mode != "dataset" or conversion.limits[0] < conversion.limits[1]:
        return cfg
    names = list(cfg.DATASETS.TRAIN if names is None else names)
    paths = [record["file_name"] for name in names for record in DatasetCatalog.get(name)]
    if len(paths) > _MOST_IMAGES:
        spread = np.linspace(0, len(paths) - 1, _MOST_IMAGES).astype(int)
        paths = [paths[index] for index in spread]
    samples = [values for path in paths if len(values := _values(path, conversion))]
    if not samples:
        _logger.warning(
            "INPUT.BIT_DEPTH.MODE dataset: no file of more than 8 bits in %s", ", ".join(names)
        )
        return cfg
    node.LOW, node.HIGH = percentile_limits(np.concatenate(samples), conversion.percentiles)
    _logger.info(
        "INPUT.BIT_DEPTH found in %d files of %s: LOW %g, HIGH %g",
        len(samples),
        ", ".join(names),
        node.LOW,
        node.HIGH,
    )
    return cfg


def _values(path: str, conversion: PixelConversion) -> np.ndarray:
    """(N,) float64 values of a file; none of a file of 8 bits or a broken one."""
    try:
        with Raster(path, conversion) as raster:
            if raster.dtype == "uint8":
                return np.zeros(0)
            values = raster.sample()
    except (ValueError, OSError) as error:
        _logger.warning("left out of INPUT.BIT_DEPTH: %s", error)
        return np.zeros(0)
    return values[:: -(-len(values) // _MOST_VALUES) or 1].astype(np.float64)
