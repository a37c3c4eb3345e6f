"""Merging the boxes that several models find in one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Instances

from smallobj.geometry.masks import CropMasks
from smallobj.merging.registry import Merger, build_merger, make_merger
from smallobj.merging.wbf import WBFMerger


class ModelWBFMerger(WBFMerger):
    """Weighted boxes fusion as published: what fewer models than all found loses score.

    With scores already times their model's weight, the mean of a cluster is multiplied by
    min(models, boxes in it) / sum of weights (arXiv 1910.13302, section 3, in the form of its
    release, which doesn't let the score of a cluster of more boxes than models grow). Not in the
    registry: of tiles or passes most don't show an object, and it would punish every box.
    """

    @configurable
    def __init__(self, *, weights: Sequence[float], **wbf: Any) -> None:
        """
        Args:
            weights: one a model.
            wbf: as :class:`WBFMerger`.
        """
        super().__init__(**wbf)
        self.models = len(weights)
        self.total_weight = sum(weights)

    def rescore(self, means: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
        return means * members.clamp(max=self.models) / self.total_weight


class ModelMerger:
    """Detections of M models in, one box an object out."""

    def __init__(self, merger: Merger, weights: Sequence[float]) -> None:
        """
        Args:
            merger: of boxes whose scores are multiplied by their model's weight. A
                :class:`ModelWBFMerger` divides them out again; for another one weights are taken
                as shares of the largest, so that scores stay probabilities.
            weights: M positive numbers.

        Raises:
            ValueError: a weight that isn't positive.
        """
        if not all(weight > 0 for weight in weights):
            raise ValueError(f"TEST.ENSEMBLE.WEIGHTS must be positive; got {list(weights)}")
        self.merger = merger
        divides = isinstance(merger, ModelWBFMerger) and merger.wbf_score == "mean"
        self.factors = [weight if divides else weight / max(weights) for weight in weights]

    def __call__(self, found: Sequence[Instances]) -> Instances:
        """
        Args:
            found: pred_boxes, scores and pred_classes of each model, in one image's frame; and
                pred_masks, which are left out unless all models have them.

        Returns:
            Merged ones by falling score; of equal scores, an earlier model's first.
        """
        with_masks = all(instances.has("pred_masks") for instances in found)
        parts = []
        for instances, factor in zip(found, self.factors, strict=True):
            part = Instances(instances.image_size)
            part.pred_boxes = instances.pred_boxes
            # In float64, as a third of 0.9 and back should be 0.9.
            part.scores = instances.scores.double() * factor
            part.pred_classes = instances.pred_classes
            if with_masks:
                part.pred_masks = CropMasks.of(instances.pred_masks)
            parts.append(part)
        merged = self.merger(Instances.cat(parts))
        merged.scores = merged.scores.to(found[0].scores.dtype)
        return merged


def build_model_merger(cfg: CfgNode, models: int) -> ModelMerger:
    """The merger of so many models' boxes that TEST.ENSEMBLE describes.

    Raises:
        ValueError: weights for another number of models, or a value out of range.
    """
    weights = [float(weight) for weight in cfg.TEST.ENSEMBLE.WEIGHTS] or [1.0] * models
    if len(weights) != models:
        raise ValueError(
            f"TEST.ENSEMBLE.WEIGHTS must be () or one for each of {models} models, this config's "
            f"own first; got {len(weights)}: {weights}"
        )
    key = "TEST.ENSEMBLE.MERGER"
    if cfg.TEST.ENSEMBLE.MERGER.NAME == "wbf":
        return ModelMerger(make_merger(ModelWBFMerger, cfg, key, weights=weights), weights)
    return ModelMerger(build_merger(cfg, key), weights)
