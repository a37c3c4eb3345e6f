"""What the limits of a detector, or an overflow, have cost in detections, as sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from torch import nn

from smallobj.inference.tiled import TiledDetector
from smallobj.modeling.detection_limit import ProposalLimit, limits_of
from smallobj.modeling.finite_check import FiniteCheck

IMAGES, TILES, VIEWS, PASSES = "images", "tiles", "views of images", "passes"
PRECISION_KEY = "TEST.PRECISION"
DETECTIONS_KEY = "TEST.DETECTIONS_PER_IMAGE"
_SINGULAR = {IMAGES: "image", TILES: "tile", VIEWS: "view of an image", PASSES: "pass"}
PROPOSALS_ADVICE = (
    f"raise {ProposalLimit.key} and MODEL.RPN.PRE_NMS_TOPK_TEST, and lower "
    "MODEL.RPN.PIXELS_PER_PROPOSAL_TEST"
)


@dataclasses.dataclass(frozen=True)
class Cut:
    """Detections that were lost to one of the limits of a detector.

    Attributes:
        key: the config key of the limit.
        what: IMAGES, TILES, or with test-time augmentation or an ensemble VIEWS, to whose
            detections the limit applies; PASSES of the network for
            PRECISION_KEY, by which its numbers may overflow.
        most: the limit; 0 if it depends on the tile, as that of proposals does.
        inputs: number of images or tiles that had more.
        detections: number of detections cut; 0 if unknown, as for proposals.
        highest: their highest score.
    """

    key: str
    what: str
    most: int
    inputs: int
    detections: int = 0
    highest: float = 0.0

    def __str__(self) -> str:
        what = _SINGULAR[self.what] if self.inputs == 1 else self.what
        if self.key == PRECISION_KEY:
            return (
                f"in {self.inputs} {what} the network computed NaN or infinite values, whose boxes "
                f"are lost; {PRECISION_KEY} float32 avoids an overflow of 16 bits"
            )
        if self.key == ProposalLimit.key:
            return (
                f"in {self.inputs} {what} over half of the proposals are objects, so proposals "
                f"probably ran out and objects are missing; {PROPOSALS_ADVICE}"
            )
        return (
            f"{self.key} {self.most} cut {self.detections} detections, with scores of up to "
            f"{self.highest:.2f}, in {self.inputs} {what}; set it higher to keep them"
        )


def count_from(detector: nn.Module, lowest_score: float) -> None:
    """From now on only cut detections of at least this score are counted."""
    for _, limit in limits_of(detector):
        limit.lowest_score = lowest_score


def take_cuts(detector: nn.Module) -> list[Cut]:
    """What the limits of a detector have cut since the last call; empty if nothing."""
    within = {
        part
        for module in detector.modules()
        if isinstance(module, TiledDetector)
        for part in module.modules()
        if part is not module
    }
    cuts = []
    whole = IMAGES
    for module, limit in limits_of(detector):
        inputs, detections, highest = limit.take()
        what = TILES if module in within else whole
        if what == IMAGES:
            whole = VIEWS  # what the outermost merges: passes, or models of an ensemble
        if detections:
            cuts.append(Cut(DETECTIONS_KEY, what, limit.most, inputs, detections, highest))
        proposals = getattr(module, "proposal_limit", None)
        crowded = proposals.take() if isinstance(proposals, ProposalLimit) else 0
        if crowded:
            cuts.append(Cut(ProposalLimit.key, what, 0, crowded))
    for module in detector.modules():
        check = getattr(module, "finite", None)
        overflowed = check.take() if isinstance(check, FiniteCheck) else 0
        if overflowed:
            cuts.append(Cut(PRECISION_KEY, PASSES, 0, overflowed))
    return sum_cuts(cuts)


def sum_cuts(cuts: Iterable[Cut]) -> list[Cut]:
    """One entry for each limit, of what several detectors or processes have cut."""
    sums: dict[tuple[str, str, int], Cut] = {}
    for cut in cuts:
        limit = (cut.key, cut.what, cut.most)
        old = sums.get(limit, Cut(*limit, inputs=0))
        sums[limit] = Cut(
            *limit,
            old.inputs + cut.inputs,
            old.detections + cut.detections,
            max(old.highest, cut.highest),
        )
    return list(sums.values())
