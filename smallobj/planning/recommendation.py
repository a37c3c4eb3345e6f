"""The plan: tile, overlap, training tile and anchors for a survey, and their cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from detectron2.config import CfgNode
from torch import nn

from smallobj.checks import check_between
from smallobj.costs.flops import FlopCount, analyse_flops
from smallobj.costs.memory import MIB
from smallobj.data.crowding import detections_needed
from smallobj.data.survey import Survey
from smallobj.geometry.tile_choice import TileChoice, choose_tile, overlap_for
from smallobj.planning.anchor_advice import AnchorAdvice, advise_anchors
from smallobj.planning.budget import MeasuredChoice, choose_within_memory
from smallobj.planning.cost import MULTIPLE, Cost, compare_costs, tile_cost

_COVERS = (1.0, 0.999, 0.995, 0.99, 0.95)
_COUNTED_SIDE = 256


@dataclasses.dataclass(frozen=True)
class Cover:
    """Tile and cost if only a share of the objects, the shortest, must be shown whole.

    Attributes:
        share: of the objects, in [0, 1].
        overlap: the overlap that they need.
        longer: number of objects that are too long for this overlap.
        choice: the best tile; None if no tile fits the budget.
        cost: of that choice.
    """

    share: float
    overlap: int
    longer: int
    choice: TileChoice | None
    cost: Cost | None


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """A plan for a survey.

    Attributes:
        survey: the data that it is for.
        covered: length of the longest object that some tile is sure to show whole, in pixels.
        cover: tile and cost of the requested share of objects.
        covers: the same for several shares; empty for a config that runs whole images.
        choice: tile and overlap; None for a config that runs whole images.
        memory: measurements behind the choice, if the budget was given in MiB.
        batch_size: TEST.TILE.BATCH_SIZE, tiles in one pass.
        training_tile: INPUT.TILE.SIZE.
        anchors: None for a model without anchors.
        costs: of the plan first, then of other ways to run the model.
        counted: operations of one pass, from which the costs are computed.
        detections: TEST.DETECTIONS_PER_IMAGE that the data need; None if the config's is enough.
    """

    survey: Survey
    covered: float
    cover: Cover
    covers: list[Cover]
    choice: TileChoice | None
    memory: MeasuredChoice | None
    batch_size: int
    training_tile: int
    anchors: AnchorAdvice | None
    costs: list[Cost]
    counted: FlopCount
    detections: int | None


def recommend(
    cfg: CfgNode,
    model: nn.Module,
    survey: Survey,
    *,
    cover: float = 1.0,
    max_tile: int | None = None,
    memory_mib: float | None = None,
) -> Recommendation:
    """Plans tiles and anchors for a config's model and a dataset.

    Args:
        cfg: config of the model, with its number of classes set.
        model: built from ``cfg``; its weights do not matter.
        survey: the data.
        cover: share of objects, the shortest, that some tile must show whole.
        max_tile: a pass may have as many pixels as a square of this side; TEST.TILE.SIZE if neither
            this nor a memory budget is given.
        memory_mib: memory budget instead, as in :func:`choose_within_memory`.

    Raises:
        ValueError: the share lies outside (0, 1], or the budget is too small.
    """
    check_between("the share of objects to cover", cover, 0, 1, "(]")
    counted = analyse_flops(model, _COUNTED_SIDE, _COUNTED_SIDE)
    tiled = cfg.TEST.TILE.ENABLED
    covered = covered_length(survey.longest, cover)
    overlap = overlap_for(covered, cfg.TEST.TILE.SEAM_MARGIN)
    chooser = _chooser(survey, counted)
    memory, choice, batch_size = None, None, cfg.TEST.TILE.BATCH_SIZE
    max_pixels = float(_padded(max_tile or cfg.TEST.TILE.SIZE) ** 2)
    if tiled and memory_mib is not None:
        memory = choose_within_memory(cfg, memory_mib, lambda most: chooser(overlap, most))
        choice = memory.choice
        max_pixels = max(memory.line.max_pixels(memory_mib * MIB), choice.pass_pixels)
        # The rest of the budget is used for more tiles in a pass.
        batch_size = min(max(int(max_pixels // choice.pass_pixels), 1), batch_size)
    elif tiled:
        choice = chooser(overlap, max_pixels)
    covers = [
        _cover(survey, share, cfg, counted, lambda over: chooser(over, max_pixels))
        for share in sorted({cover, *_COVERS}, reverse=True)
    ]
    needed = detections_needed(survey.most_objects, cfg.TEST.DETECTIONS_PER_IMAGE)
    return Recommendation(
        survey=survey,
        covered=covered,
        cover=next(row for row in covers if row.share == cover),
        covers=covers if tiled else [],
        choice=choice,
        memory=memory,
        batch_size=batch_size,
        training_tile=training_tile(survey.longest, covered, cfg.INPUT.TILE.SIZE),
        anchors=advise_anchors(cfg, model, survey),
        costs=compare_costs(cfg, survey, counted, choice),
        counted=counted,
        detections=None if needed == cfg.TEST.DETECTIONS_PER_IMAGE else needed,
    )


def covered_length(longest: np.ndarray, share: float) -> float:
    """The least length that at least this share of objects (N,) does not exceed.

    >>> covered_length(np.array([5.0, 1, 2, 4, 3]), 0.8)
    4.0
    """
    return float(np.quantile(longest, share, method="inverted_cdf"))


def training_tile(longest: np.ndarray, covered: float, at_least: int) -> int:
    """Side of a training tile: holds each covered object, and 95% of all at twice their length."""
    usual = covered_length(longest, 0.95)
    return max(at_least, _padded(max(2 * usual, covered)))


def _padded(length: float) -> int:
    return int(-(-length // MULTIPLE) * MULTIPLE)


def _chooser(survey: Survey, counted: FlopCount) -> Callable[[int, float], TileChoice]:
    """Returns a function: (overlap, max pixels of a pass) -> cheapest tile for the survey."""
    sizes, weights = np.unique(survey.image_sizes, axis=0, return_counts=True)
    pass_cost = counted.per_region / counted.dense * counted.height * counted.width

    def choose(overlap: int, max_pixels: float) -> TileChoice:
        return choose_tile(
            sizes, overlap, max_pixels, weights=weights, pass_cost=pass_cost, multiple=MULTIPLE
        )

    return choose


def _cover(
    survey: Survey,
    share: float,
    cfg: CfgNode,
    counted: FlopCount,
    choose: Callable[[int], TileChoice],
) -> Cover:
    length = covered_length(survey.longest, share)
    overlap = overlap_for(length, cfg.TEST.TILE.SEAM_MARGIN)
    longer = int((survey.longest > length).sum())
    try:
        choice = choose(overlap)
    except ValueError:
        return Cover(share, overlap, longer, None, None)
    return Cover(share, overlap, longer, choice, tile_cost("", survey, counted, choice))
