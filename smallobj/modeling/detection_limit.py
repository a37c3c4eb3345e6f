"""The largest number of detections of an input, and a count of those beyond it.

A limit that cuts objects of a crowded image looks like a detector that misses them, so what is cut
is counted. The counts stay on the detector's device until they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.structures import Instances
from torch import nn

from smallobj.modeling.proposal_generator import SmallObjectRPN

# A detection of at least this score is taken to be an object.
_CERTAIN = 0.5


class CutCount(NamedTuple):
    """What a limit has cut.

    Attributes:
        inputs: number of inputs (images or tiles) that had more detections.
        detections: number of detections cut.
        highest: highest score of these, 0 without any.
    """

    inputs: int = 0
    detections: int = 0
    highest: float = 0.0


class ProposalLimit:
    """Counts inputs whose objects probably outnumber the proposals that a model allows.

    Attributes:
        key: the config keys that limit proposals, for a message.
    """

    key = "MODEL.RPN.POST_NMS_TOPK_TEST"

    def __init__(self) -> None:
        self._inputs: Any = 0

    def count(self, found: Instances, proposals: int) -> None:
        """Counts an input if over half of all proposals that it was allowed became detections."""
        # Host numbers first: without crowding nothing is computed.
        if 2 * len(found) > proposals:
            certain = (found.scores >= _CERTAIN).sum()
            self._inputs = self._inputs + (2 * certain > proposals)

    def take(self) -> int:
        """The number of inputs since the last call."""
        count, self._inputs = int(self._inputs), 0
        return count


class DetectionLimit:
    """Keeps the best detections of an input, and counts the others.

    Attributes:
        most: largest number of detections of an input.
        lowest_score: of detections that are counted; those below it nobody wanted.
    """

    def __init__(self, most: int, lowest_score: float = 0.0) -> None:
        self.most = most
        self.lowest_score = lowest_score
        self._reset()

    def _reset(self) -> None:
        self._inputs: Any = 0
        self._detections: Any = 0
        self._highest: Any = 0.0

    def __call__(self, found: Instances) -> Instances:
        """The first ``most`` of an input's detections, which have falling ``scores``."""
        if len(found) <= self.most:
            return found
        self.count(found.scores)
        return found[: self.most]

    def count(self, scores: torch.Tensor) -> None:
        """Counts what lies beyond the limit of an input's scores (N,), which fall."""
        beyond = scores[self.most :]
        if not len(beyond):
            return
        # Only tensors: a Python number would make the CPU wait for the GPU at every input.
        wanted = (beyond >= self.lowest_score).sum()
        self._inputs = self._inputs + (wanted > 0)
        self._detections = self._detections + wanted
        best = torch.where(wanted > 0, beyond[0], torch.zeros_like(beyond[0]))
        self._highest = torch.maximum(best, torch.as_tensor(self._highest).to(best))

    def take(self) -> CutCount:
        """The counts since the last call."""
        counts = int(self._inputs), int(self._detections), float(self._highest)
        self._reset()
        return CutCount(*counts)


def limit_and_count(model: nn.Module) -> None:
    """Makes a Detectron2 model count the detections that its own limit cuts; changes it in place.

    The results stay the same. Models that have a ``limit`` already, and those of another kind, are
    left as they are. Of a two-stage model it is also counted where proposals run out.
    """
    heads: Any = getattr(model, "roi_heads", None)
    if hasattr(heads, "box_predictor") and hasattr(heads, "_forward_box"):
        _count_in_roi_heads(heads, getattr(model, "proposal_generator", None))
        return
    is_dense = isinstance(model, DenseDetector) and hasattr(model, "max_detections_per_image")
    if is_dense and not hasattr(model, "limit"):
        _count_in_dense_detector(model)


def limits_of(detector: nn.Module) -> Iterator[tuple[nn.Module, DetectionLimit]]:
    """The modules of a detector that limit detections, with their limits."""
    for module in detector.modules():
        limit = getattr(module, "limit", None)
        if isinstance(limit, DetectionLimit):
            yield module, limit


def _count_in_roi_heads(heads: Any, generator: Any) -> None:
    predictors = heads.box_predictor
    predictors = list(predictors) if isinstance(predictors, nn.ModuleList) else [predictors]
    most = getattr(predictors[-1], "test_topk_per_image", -1)
    if most < 0:
        return
    heads.limit, heads.proposal_limit = DetectionLimit(most), ProposalLimit()
    for predictor in predictors:
        predictor.test_topk_per_image = -1  # Detectron2's "no limit"
    forward = heads._forward_box

    def limited(features: Any, proposals: Any, *others: Any) -> Any:
        found = forward(features, proposals, *others)
        if heads.training:
            return found
        for instances, given in zip(found, proposals, strict=True):
            if len(given) >= _most_proposals(generator, given.image_size):
                heads.proposal_limit.count(instances, len(given))
        # Masks and keypoints are computed afterwards, for what remains.
        return [heads.limit(instances) for instances in found]

    heads._forward_box = limited


def _most_proposals(generator: Any, image_size: tuple[int, int]) -> float:
    """The largest number of proposals of an image of this size (h, w) at test time."""
    if isinstance(generator, SmallObjectRPN):
        return generator.most_proposals(image_size)
    return getattr(generator, "post_nms_topk", {}).get(False, math.inf)


def _count_in_dense_detector(model: Any) -> None:
    model.limit = DetectionLimit(model.max_detections_per_image)
    model.max_detections_per_image = None  # as the end of a slice: all
    inference = model.inference_single_image
    model.inference_single_image = lambda *args, **kwargs: model.limit(inference(*args, **kwargs))
