"""The plan: tile, overlap, training tile and anchors for a survey, and their cost."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from detectron2.config import CfgNode
from torch import nn

from smallobj.checks import check_between
from smallobj.costs.flops import FlopCount, analyse_flops
from smallobj.costs.memory import MIB
from smallobj.data.crowding import detections_needed
from smallobj.data.survey import Survey
from smallobj.geometry.tile_choice import BudgetError, TileChoice, choose_tile, overlap_for
from smallobj.planning.anchor_advice import AnchorAdvice, advise_anchors
from smallobj.planning.budget import MeasuredChoice, choose_within_memory
from smallobj.planning.capacity import capacity_notes
from smallobj.planning.cost import MULTIPLE, Cost, compare_costs, tile_cost

_COVERS = (1.0, 0.999, 0.995, 0.99, 0.95)
_COUNTED_SIDE = 256
# On test tiles more than this many times the training tile accuracy falls: docs/normalisation.md.
TEST_PER_TRAINING = 2
# From an overlap, and a number of pixels a pass may have, to the best tile.
_Chooser = Callable[[int, float], TileChoice]


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
        limited: the budget allows larger test tiles than the training tile does.
        notes: settings that the objects exceed, a sentence each.
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
    limited: bool
    anchors: AnchorAdvice | None
    notes: list[str]
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
        ValueError: the share lies outside (0, 1], or the budget is too small; then the message
            names a budget and a share that would work.
    """
    check_between("--cover, the share of objects to cover,", cover, 0, 1, "(]")
    counted = analyse_flops(model, _COUNTED_SIDE, _COUNTED_SIDE)
    tiled = cfg.TEST.TILE.ENABLED
    covered = covered_length(survey.longest, cover)
    overlap = overlap_for(covered, cfg.TEST.TILE.SEAM_MARGIN)
    chooser = _chooser(survey, counted, cfg.INPUT.TILE.SIZE)
    memory, choice, batch_size = None, None, cfg.TEST.TILE.BATCH_SIZE
    max_pixels = float(_padded(max_tile or cfg.TEST.TILE.SIZE) ** 2)
    if tiled and memory_mib is not None:
        with _advice(survey, cfg, cover, chooser, max_tile):
            memory = choose_within_memory(cfg, memory_mib, lambda most: chooser(overlap, most))
        choice = memory.choice
        max_pixels = max(memory.line.max_pixels(memory_mib * MIB), choice.pass_pixels)
        # The rest of the budget is used for more tiles in a pass.
        batch_size = min(max(int(max_pixels // choice.pass_pixels), 1), batch_size)
    elif tiled:
        with _advice(survey, cfg, cover, chooser, max_tile):
            choice = chooser(overlap, max_pixels)
    covers = [
        _cover(survey, share, cfg, counted, lambda over: chooser(over, max_pixels))
        for share in sorted({cover, *_COVERS}, reverse=True)
    ]
    needed = detections_needed(survey.most_objects, cfg.TEST.DETECTIONS_PER_IMAGE)
    training = training_tile(survey, overlap, cfg.INPUT.TILE.SIZE)
    advice = advise_anchors(cfg, model, survey)
    kept = None if advice is None else advice.after if advice.worthwhile else advice.before
    is_limited = choice is not None and not choice.whole
    return Recommendation(
        survey=survey,
        covered=covered,
        cover=next(row for row in covers if row.share == cover),
        covers=covers if tiled else [],
        choice=choice,
        memory=memory,
        batch_size=batch_size,
        training_tile=training,
        limited=is_limited and max_pixels > (TEST_PER_TRAINING * training) ** 2,
        anchors=advice,
        notes=capacity_notes(cfg, model, survey, choice, kept),
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


def training_tile(survey: Survey, overlap: int, at_least: int) -> int:
    """Side of a training tile: holds the overlap, and 95% of all objects at twice their length.

    It is at most as long as the longest image, or ``at_least``.
    """
    usual = covered_length(survey.longest, 0.95)
    needed = min(max(2 * usual, overlap), int(survey.image_sizes.max()))
    return max(at_least, _padded(needed))


def _padded(length: float) -> int:
    return int(-(-length // MULTIPLE) * MULTIPLE)


def _chooser(survey: Survey, counted: FlopCount, training: int) -> _Chooser:
    """Returns a function: (overlap, max pixels of a pass) -> cheapest tile for the survey.

    Args:
        survey, counted: the data, and the operations of a pass.
        training: INPUT.TILE.SIZE of the config.
    """
    sizes, weights = np.unique(survey.image_sizes, axis=0, return_counts=True)
    pass_cost = counted.per_region / counted.dense * counted.height * counted.width

    def choose(overlap: int, max_pixels: float) -> TileChoice:
        return choose_tile(
            sizes,
            overlap,
            max_pixels,
            weights=weights,
            pass_cost=pass_cost,
            multiple=MULTIPLE,
            most_side=TEST_PER_TRAINING * training_tile(survey, overlap, training),
        )

    return choose


@contextlib.contextmanager
def _advice(
    survey: Survey, cfg: CfgNode, cover: float, chooser: _Chooser, max_tile: int | None
) -> Iterator[None]:
    """Replaces a BudgetError by a message that names options that work."""
    try:
        yield
    except BudgetError as error:
        margin = cfg.TEST.TILE.SEAM_MARGIN
        needed = covered_length(survey.longest, cover)
        least = _padded(math.ceil(error.least_pixels**0.5))
        text = (
            f"no tile within the budget shows an object of {needed:.0f} px whole wherever it lies "
            f"(an overlap of {overlap_for(needed, margin)} px). Give --max-tile {least} or more"
        )
        if error.memory_needed is not None:
            text += f", or --memory-mib {math.ceil(error.memory_needed / MIB)} or more"
        elif max_tile is None:
            text += f" (it is TEST.TILE.SIZE, {cfg.TEST.TILE.SIZE}, by default)"
        share = _share_within(survey.longest, margin, error.max_pixels, chooser)
        if share > 0:
            length = covered_length(survey.longest, share)
            text += (
                f", or --cover {share:g}, which promises it only for objects of up to "
                f"{length:.0f} px"
            )
        raise ValueError(text) from error


def _share_within(
    longest: np.ndarray, margin: float, max_pixels: float, chooser: _Chooser
) -> float:
    """The largest share, rounded down to 4 decimals, for which a tile fits the budget; or 0."""
    lengths = np.unique(longest)
    low, high = 0, len(lengths)  # the first ``low`` lengths fit
    while low < high:
        middle = (low + high + 1) // 2
        try:
            chooser(overlap_for(float(lengths[middle - 1]), margin), max_pixels)
            low = middle
        except BudgetError:
            high = middle - 1
    if low == 0:
        return 0.0
    return math.floor((longest <= lengths[low - 1]).mean() * 1e4) / 1e4


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
    except BudgetError:
        return Cover(share, overlap, longer, None, None)
    return Cover(share, overlap, longer, choice, tile_cost("", survey, counted, choice))
