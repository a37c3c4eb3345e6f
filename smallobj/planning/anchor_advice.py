"""Comparison of anchors fitted to a survey with the anchors of a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from torch import nn

from smallobj.data.survey import Survey, box_sides
from smallobj.geometry.anchors import (
    AnchorFit,
    Anchors,
    SideAnchors,
    fit_anchors,
    fit_sides,
    measure_anchors,
)
from smallobj.modeling.yolo import YOLOPriorGenerator

# Weights trained with the old anchors do not suit new ones, so a small gain is not worth it.
_LEAST_RECALL_GAIN = 0.005
_LEAST_MEAN_GAIN = 0.01


@dataclasses.dataclass(frozen=True)
class AnchorAdvice:
    """Anchors before and after the fit, measured on all objects and on held-out images.

    Attributes:
        before, after: the config's anchors and the fitted ones.
        fit_before, fit_after: their fit to all objects.
        unseen_before, unseen_after: the fit to every second image of the config's anchors, and of
            anchors fitted to the other images; None if either half has no objects.
    """

    before: Anchors | SideAnchors
    after: Anchors | SideAnchors
    fit_before: AnchorFit
    fit_after: AnchorFit
    unseen_before: AnchorFit | None
    unseen_after: AnchorFit | None

    @property
    def worthwhile(self) -> bool:
        """Whether fitting helps clearly, on all objects and on held-out ones.

        Either recall at IoU 0.5 rises by 0.005 or more, or it does not fall and the mean IoU rises
        by 0.01 or more. For YOLO, which assigns anchors by shape alone and shifts them within their
        cell, the fit by shape is compared.
        """
        pairs = [(self.fit_before, self.fit_after)]
        if self.unseen_before is not None and self.unseen_after is not None:
            pairs.append((self.unseen_before, self.unseen_after))
        if isinstance(self.before, SideAnchors):
            gains = [new.shape_recall[0.5] - old.shape_recall[0.5] for old, new in pairs]
            means = [new.shape_mean - old.shape_mean for old, new in pairs]
        else:
            gains = [new.recall[0.5] - old.recall[0.5] for old, new in pairs]
            means = [new.mean - old.mean for old, new in pairs]
        return min(gains) >= _LEAST_RECALL_GAIN or (
            min(gains) >= 0 and min(means) >= _LEAST_MEAN_GAIN
        )


def read_anchors(cfg: CfgNode, model: nn.Module) -> Anchors | SideAnchors | None:
    """The anchors of a model with DefaultAnchorGenerator or YOLO's generator; else None."""
    node = cfg.MODEL.ANCHOR_GENERATOR
    for module in model.modules():
        if isinstance(module, YOLOPriorGenerator):
            pairs = [(float(w), float(h)) for w, h in cfg.MODEL.YOLO.ANCHORS]
            return _by_stride(pairs, tuple(int(stride) for stride in module.strides))
        if isinstance(module, DefaultAnchorGenerator):
            strides = tuple(int(stride) for stride in module.strides)
            sizes, ratios = (_by_level(v, len(strides)) for v in (node.SIZES, node.ASPECT_RATIOS))
            return Anchors(sizes, ratios, strides, float(module.offset))
    return None


def _by_level(values: Sequence, levels: int) -> tuple[tuple[float, ...], ...]:
    """Detectron2's rule: a single list applies to every level."""
    lists = list(values) if isinstance(values[0], Sequence) else [values]
    lists = lists * levels if len(lists) == 1 else lists
    return tuple(tuple(float(value) for value in level) for level in lists)


def _by_stride(pairs: Sequence[tuple[float, float]], strides: tuple[int, ...]) -> SideAnchors:
    """YOLO's rule: the same number of anchors for each stride, in order."""
    each = len(pairs) // len(strides)
    return SideAnchors(
        tuple(tuple(pairs[i : i + each]) for i in range(0, len(pairs), each)), strides
    )


def _fit(sides: np.ndarray, like: Anchors | SideAnchors) -> Anchors | SideAnchors:
    """Fits anchors of the same kind and number as another set."""
    if isinstance(like, Anchors):
        return fit_anchors(sides, like)
    fitted = fit_sides(sides, len(like.all_shapes))
    return _by_stride([(w, h) for w, h in fitted.tolist()], like.strides)


def advise_anchors(cfg: CfgNode, model: nn.Module, survey: Survey) -> AnchorAdvice | None:
    """Fits as many anchors to a survey as the model has; None for a model without anchors."""
    before = read_anchors(cfg, model)
    if before is None:
        return None
    after = _fit(survey.sides, before)
    fitted_to, unseen = box_sides(survey.boxes[::2]), box_sides(survey.boxes[1::2])
    both = len(fitted_to) > 0 and len(unseen) > 0
    return AnchorAdvice(
        before=before,
        after=after,
        fit_before=measure_anchors(survey.sides, before),
        fit_after=measure_anchors(survey.sides, after),
        unseen_before=measure_anchors(unseen, before) if both else None,
        unseen_after=measure_anchors(unseen, _fit(fitted_to, before)) if both else None,
    )
