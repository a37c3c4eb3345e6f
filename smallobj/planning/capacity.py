"""Objects of a survey that a detector's settings can't take: too many, too small or too large."""

from __future__ import annotations

import numpy as np
from detectron2.config import CfgNode
from torch import nn

from smallobj.data.long_objects import share_text
from smallobj.data.survey import Survey
from smallobj.geometry.anchors import Anchors, SideAnchors
from smallobj.geometry.tile_choice import TileChoice
from smallobj.geometry.tiling import plan_tiles

# Two boxes of one shape have IoU 0.5 if one's sides are this many times as long.
_HALF_IOU = 2**0.5
# The fullest tile is sought in this many images, those with most objects.
_FULLEST_IMAGES = 20


def capacity_notes(
    cfg: CfgNode,
    model: nn.Module,
    survey: Survey,
    choice: TileChoice | None,
    anchors: Anchors | SideAnchors | None,
) -> list[str]:
    """A sentence for each setting that is exceeded.

    Args:
        cfg: of the model.
        model: built from ``cfg``.
        survey: the data.
        choice: planned tiles; None: whole images.
        anchors: planned anchors; None for a model without anchors.
    """
    notes = []
    most = most_in_a_pass(survey, choice)
    for key, limit in _limits(cfg, model).items():
        if most > limit:
            notes.append(
                f"a tile holds up to {most} objects, and {key} is {limit}: set it to {4 * most} or "
                "so, as an object takes several"
            )
    if anchors is not None:
        notes += _size_notes(survey, anchors)
    return notes


def most_in_a_pass(survey: Survey, choice: TileChoice | None) -> int:
    """The number of objects, by their centres, in the fullest tile."""
    fullest = np.argsort([-len(boxes) for boxes in survey.boxes])[:_FULLEST_IMAGES]
    most = 0
    for index in fullest.tolist():
        boxes = survey.boxes[index]
        if choice is None:
            return len(boxes)
        height, width = (int(side) for side in survey.image_sizes[index])
        tiles = plan_tiles((height, width), choice.tile, choice.overlap)
        centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        inside = (centres >= tiles[:, :2]) & (centres < tiles[:, 2:])
        most = max(most, int(inside.all(axis=2).sum(axis=0).max(initial=0)))
    return most


def _limits(cfg: CfgNode, model: nn.Module) -> dict[str, int]:
    """Numbers of candidates that a pass keeps, by key; not TEST.DETECTIONS_PER_IMAGE."""
    if hasattr(model, "proposal_generator"):
        return {"MODEL.RPN.POST_NMS_TOPK_TEST": cfg.MODEL.RPN.POST_NMS_TOPK_TEST}
    if cfg.MODEL.META_ARCHITECTURE == "RetinaNet":
        return {"MODEL.RETINANET.TOPK_CANDIDATES_TEST": cfg.MODEL.RETINANET.TOPK_CANDIDATES_TEST}
    return {}


def _size_notes(survey: Survey, anchors: Anchors | SideAnchors) -> list[str]:
    sizes = np.sqrt(survey.sides.prod(axis=1))
    known = np.sqrt(anchors.all_shapes.prod(axis=1))
    small = sizes < known.min() / _HALF_IOU
    large = sizes > known.max() * _HALF_IOU
    found = []
    if small.any():
        found.append(f"{share_text(small)} objects are too small for the smallest, {known.min():g}")
    if large.any():
        found.append(f"{share_text(large)} are too large for the largest, {known.max():g}")
    if not found:
        return []
    return [f"no anchor reaches IoU 0.5 (sizes, px): {' px; '.join(found)} px"]
