"""Floating-point operations per image of several ways to run a detector on a survey's images."""

from __future__ import annotations

import dataclasses

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import transforms as T

from smallobj.costs.flops import FlopCount, padded
from smallobj.data.survey import Survey, resized_to
from smallobj.geometry.tile_choice import TileChoice, lay_out

# Tiles have sides that are multiples of this, the stride of p5 (geometry.tiling.plan_tiles).
MULTIPLE = 32


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost per image of one way to run a detector; means over the images.

    Attributes:
        name: of the way to run it.
        passes: number of passes through the model.
        pixels: number of pixels computed, including overlap and padding.
        flops: floating-point operations; a multiply-add counts as two.
    """

    name: str
    passes: float
    pixels: float
    flops: float


def tile_cost(name: str, survey: Survey, counted: FlopCount, choice: TileChoice) -> Cost:
    """The cost of tiles that were laid out for the survey's distinct image sizes."""
    _, weights = np.unique(survey.image_sizes, axis=0, return_counts=True)
    return _mean_cost(name, weights, choice.counts, choice.sides, counted)


def _whole_cost(name: str, sizes: np.ndarray, counted: FlopCount) -> Cost:
    distinct, weights = np.unique(sizes, axis=0, return_counts=True)
    sides = np.array([[padded(int(v), MULTIPLE) for v in size] for size in distinct])
    return _mean_cost(name, weights, np.ones(len(distinct)), sides, counted)


def _mean_cost(
    name: str, weights: np.ndarray, counts: np.ndarray, sides: np.ndarray, counted: FlopCount
) -> Cost:
    flops = [count * counted.at(*side) for count, side in zip(counts, sides, strict=True)]
    return Cost(
        name,
        passes=float(np.average(counts, weights=weights)),
        pixels=float(np.average(counts * sides.prod(axis=1), weights=weights)),
        flops=float(np.average(flops, weights=weights)),
    )


def compare_costs(
    cfg: CfgNode, survey: Survey, counted: FlopCount, choice: TileChoice | None
) -> list[Cost]:
    """Costs of the plan and the config's tiles (if any), and of whole images at two resolutions."""
    costs = []
    node = cfg.TEST.TILE
    if choice is not None:
        distinct = np.unique(survey.image_sizes, axis=0)
        shipped = lay_out(distinct, node.SIZE, node.OVERLAP, MULTIPLE)
        for name, layout in (("planned", choice), ("the config's", shipped)):
            # Without this length, tiles that cut objects would just look cheaper.
            seen = f"{layout.overlap - 2 * node.SEAM_MARGIN:g} px whole"
            tiles = f"{name} tiles ({layout.tile}/{layout.overlap}: {seen})"
            title = f"{name}: whole" if layout.whole else tiles
            costs.append(tile_cost(title, survey, counted, layout))
    elif survey.resized:
        costs.append(_whole_cost("whole, as the config resizes", survey.image_sizes, counted))
    costs.append(_whole_cost("whole, every pixel", survey.original_sizes, counted))
    resize = T.ResizeShortestEdge([800, 800], 1333)
    sizes, index = np.unique(survey.original_sizes, axis=0, return_inverse=True)
    shrunk = np.array([resized_to((int(h), int(w)), resize) for h, w in sizes])[index.ravel()]
    costs.append(_whole_cost("whole, at most 800 x 1333", shrunk, counted))
    return costs
