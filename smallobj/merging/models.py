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
    """Weighted boxes fusion as published: a box that not all models found loses score.

    The input scores are already multiplied by their model's weight. The mean score of a cluster is
    multiplied by min(models, boxes in the cluster) / sum of weights (arXiv 1910.13302, section 3;
    the minimum is from the authors' release, so a cluster with more boxes than models doesn't gain
    score). Not in the registry: most tiles or passes don't show a given object, so this rule would
    lower every score.
    """

    @configurable
    def __init__(self, *, weights: Sequence[float], **wbf: Any) -> None:
        """
        Args:
            weights: one per model.
            wbf: arguments of :class:`WBFMerger`.
        """
        super().__init__(**wbf)
        self.models = len(weights)
        self.total_weight = sum(weights)

    def rescore(self, means: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
        return means * members.clamp(max=self.models) / self.total_weight


class ModelMerger:
    """Merges the detections of M models in one image into one box per object."""

    def __init__(self, merger: Merger, weights: Sequence[float]) -> None:
        """
        Args:
            merger: gets boxes whose scores are multiplied by their model's weight. A
                :class:`ModelWBFMerger` divides by the weights again; for other mergers the weights
                are divided by the largest one first, so that scores stay probabilities.
            weights: M positive numbers.

        Raises:
            ValueError: a weight isn't positive.
        """
        if not all(weight > 0 for weight in weights):
            raise ValueError(f"TEST.ENSEMBLE.WEIGHTS must be positive; got {list(weights)}")
        self.merger = merger
        divides = isinstance(merger, ModelWBFMerger) and merger.wbf_score == "mean"
        self.factors = [weight if divides else weight / max(weights) for weight in weights]

    def __call__(self, detections: Sequence[Instances]) -> Instances:
        """
        Args:
            detections: one entry per model, all in the same image frame, with pred_boxes, scores,
                pred_classes and, optionally, pred_masks. Masks are dropped unless all models have
                them.

        Returns:
            The merged detections by falling score; equal scores in the order of the models.
        """
        with_masks = all(instances.has("pred_masks") for instances in detections)
        parts = []
        for instances, factor in zip(detections, self.factors, strict=True):
            part = Instances(instances.image_size)
            part.pred_boxes = instances.pred_boxes
            # In float64, so that multiplying by a weight and dividing again gives the same score.
            part.scores = instances.scores.double() * factor
            part.pred_classes = instances.pred_classes
            if with_masks:
                part.pred_masks = CropMasks.of(instances.pred_masks)
            parts.append(part)
        merged = self.merger(Instances.cat(parts))
        merged.scores = merged.scores.to(detections[0].scores.dtype)
        return merged


def build_model_merger(cfg: CfgNode, models: int) -> ModelMerger:
    """Builds the merger that TEST.ENSEMBLE describes.

    Args:
        cfg: the config.
        models: number of models whose boxes are merged.

    Raises:
        ValueError: the number of weights isn't the number of models, or a value is out of range.
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
