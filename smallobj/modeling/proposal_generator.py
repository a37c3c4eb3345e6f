"""RPN with fewer proposals on empty images, and with further ways of matching small objects.

Shapes: N images, L levels, A anchors of all levels; boxes (A, 4) XYXY in pixels of the input.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cat
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.structures import Boxes, Instances, pairwise_iou
from detectron2.utils.events import get_event_storage
from detectron2.utils.memory import retry_if_cuda_oom
from torch.nn import functional as F

from smallobj.checks import check_between, check_choice, check_not_negative, check_positive
from smallobj.geometry.boxes import wasserstein_matrix, wasserstein_nms, wasserstein_similarity
from smallobj.modeling.matching import ScaleAdaptiveMatcher

METRICS = ("iou", "nwd")
MATCHINGS = ("fixed", "scale_adaptive")
BOX_LOSSES = ("smooth_l1", "giou", "diou", "ciou", "nwd")
# Number of boxes of a level that go into NMS, over the number of proposals that may remain.
_CANDIDATES = 4


@PROPOSAL_GENERATOR_REGISTRY.register()
class SmallObjectRPN(RPN):
    """Detectron2's RPN with fewer proposals at test time.

    Detectron2 keeps the best few hundred proposals of every image, even of one that is a hundred
    pixels wide or shows nothing, and the ROI heads would spend their time on them.

    In training it can match anchors by normalised Gaussian Wasserstein distance, or by a threshold
    that depends on the object's size. The keys are described in :mod:`smallobj.config.model`. With
    their defaults it trains as Detectron2's RPN does.
    """

    box_reg_loss_type: str

    @configurable
    def __init__(
        self,
        *,
        score_thresh_test: float,
        pixels_per_proposal_test: int,
        match_metric: str = "iou",
        nms_metric: str = "iou",
        nwd_constant: float = 12.8,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            score_thresh_test: lowest objectness (probability) of a proposal at test time.
            pixels_per_proposal_test: pixels of the image per proposal at test time: an image with
                this many pixels gets one proposal, with twice as many two; 0: no such limit.
            match_metric, nms_metric: "iou" or "nwd".
            nwd_constant: C of "nwd", in pixels.
            kwargs: arguments of Detectron2's RPN; ``box_reg_loss_type`` may be "nwd".

        Raises:
            ValueError: a threshold is outside [0, 1), the number of pixels is negative, or a metric
                or loss is unknown.
        """
        super().__init__(**kwargs)
        check_between("MODEL.RPN.SCORE_THRESH_TEST", score_thresh_test, 0, 1, "[)")
        check_not_negative("MODEL.RPN.PIXELS_PER_PROPOSAL_TEST", pixels_per_proposal_test)
        check_choice("MODEL.RPN.MATCH_METRIC", match_metric, METRICS)
        check_choice("MODEL.RPN.NMS_METRIC", nms_metric, METRICS)
        check_choice("MODEL.RPN.BBOX_REG_LOSS_TYPE", self.box_reg_loss_type, BOX_LOSSES)
        check_positive("MODEL.NWD_CONSTANT", nwd_constant)
        if match_metric == "nwd" and isinstance(self.anchor_matcher, ScaleAdaptiveMatcher):
            raise ValueError(
                "MODEL.RPN.MATCHING scale_adaptive has thresholds of IoU, so "
                "MODEL.RPN.MATCH_METRIC must be iou; got nwd"
            )
        self.score_thresh_test = score_thresh_test
        self.pixels_per_proposal_test = pixels_per_proposal_test
        self.match_metric = match_metric
        self.nms_metric = nms_metric
        self.nwd_constant = nwd_constant

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        node = cfg.MODEL.RPN
        parts = super().from_config(cfg, input_shape)
        check_choice("MODEL.RPN.MATCHING", node.MATCHING, MATCHINGS)
        if node.MATCHING == "scale_adaptive":
            parts["anchor_matcher"] = ScaleAdaptiveMatcher(
                base=node.SCALE_ADAPTIVE.BASE,
                slope=node.SCALE_ADAPTIVE.SLOPE,
                size=node.SCALE_ADAPTIVE.SIZE,
                bounds=node.SCALE_ADAPTIVE.BOUNDS,
                background=node.SCALE_ADAPTIVE.BACKGROUND,
            )
        return {
            **parts,
            "score_thresh_test": node.SCORE_THRESH_TEST,
            "pixels_per_proposal_test": node.PIXELS_PER_PROPOSAL_TEST,
            "match_metric": node.MATCH_METRIC,
            "nms_metric": node.NMS_METRIC,
            "nwd_constant": cfg.MODEL.NWD_CONSTANT,
        }

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Labels anchors as the base class does, with the chosen metric and thresholds."""
        if self.match_metric == "iou" and not isinstance(self.anchor_matcher, ScaleAdaptiveMatcher):
            return super().label_and_sample_anchors(anchors, gt_instances)
        every = Boxes.cat(anchors)
        labels, boxes = [], []
        for truth in gt_instances:
            # The matrix of all anchors and objects may not fit into GPU memory; then on the CPU.
            matched, label = retry_if_cuda_oom(self._match)(truth.gt_boxes, every)
            label = label.to(every.device)
            if self.anchor_boundary_thresh >= 0:
                label[~every.inside_box(truth.image_size, self.anchor_boundary_thresh)] = -1
            labels.append(self._subsample_labels(label))
            boxes.append(
                truth.gt_boxes.tensor[matched.to(every.device)]
                if len(truth)
                else torch.zeros_like(every.tensor)
            )
        return labels, boxes

    def _match(self, objects: Boxes, anchors: Boxes) -> tuple[torch.Tensor, torch.Tensor]:
        """(A,) int64 the object of each anchor; (A,) int8 1 positive, 0 background, -1 ignored."""
        if self.match_metric == "nwd":
            quality = wasserstein_matrix(objects.tensor, anchors.tensor, self.nwd_constant)
            # Beyond a distance of about 100 C the similarity is 0 in float32. An object without any
            # similarity above 0 would have all anchors as its best ones.
            far = (quality.amax(dim=1) == 0).nonzero()[:, 0]
            wide = wasserstein_matrix(objects.tensor[far], anchors.tensor, self.nwd_constant * 100)
            quality[far, wide.argmax(dim=1)] = torch.finfo(quality.dtype).tiny
            return self.anchor_matcher(quality)
        return self.anchor_matcher.match(pairwise_iou(objects, anchors), objects.tensor)

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        gt_labels: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        gt_boxes: list[torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """Adds the box loss "nwd": 1 - exp(-W2 / C), summed over the positive anchors."""
        if self.box_reg_loss_type != "nwd":
            return super().losses(
                anchors, pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes
            )
        # The rest repeats the base class, whose method has its box losses built in, without "nwd".
        labels = torch.stack(gt_labels)
        positive, sampled = labels == 1, labels >= 0
        storage = get_event_storage()
        storage.put_scalar("rpn/num_pos_anchors", positive.sum().item() / len(labels))
        storage.put_scalar("rpn/num_neg_anchors", (labels == 0).sum().item() / len(labels))
        every = Boxes.cat(anchors).tensor.expand(len(labels), -1, -1)
        boxes = self.box2box_transform.apply_deltas(
            cat(pred_anchor_deltas, dim=1)[positive], every[positive]
        )
        truth = torch.stack(gt_boxes)[positive]
        sums = {
            "loss_rpn_cls": F.binary_cross_entropy_with_logits(
                cat(pred_objectness_logits, dim=1)[sampled],
                labels[sampled].to(torch.float32),
                reduction="sum",
            ),
            "loss_rpn_loc": (1 - wasserstein_similarity(boxes, truth, self.nwd_constant)).sum(),
        }
        regions = self.batch_size_per_image * len(labels)
        return {key: loss / regions * self.loss_weight.get(key, 1.0) for key, loss in sums.items()}

    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        candidates, most = self._limits(image_sizes)
        with torch.no_grad():
            decoded = self._decode_proposals(anchors, pred_anchor_deltas)
            select = self._select_by_nwd if self.nms_metric == "nwd" else self._select_by_iou
            selected = select(decoded, pred_objectness_logits, image_sizes, candidates, most)
        if self.training:
            return selected
        return [self._above_threshold(proposals) for proposals in selected]

    def _select_by_iou(
        self,
        boxes: list[torch.Tensor],
        logits: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
        candidates: int,
        most: int,
    ) -> list[Instances]:
        """The best ``most`` proposals of each image, after NMS within each level.

        Args:
            boxes, logits: for each level, (N, its anchors, 4) and (N, its anchors).
            image_sizes: (h, w) of each image.
            candidates: number of boxes of a level that go into NMS, the best ones.
            most: largest number of proposals of an image.
        """
        return find_top_rpn_proposals(
            boxes,
            logits,
            image_sizes,
            self.nms_thresh,
            candidates,
            most,
            self.min_box_size,
            self.training,
        )

    def _select_by_nwd(
        self,
        boxes: list[torch.Tensor],
        logits: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
        candidates: int,
        most: int,
    ) -> list[Instances]:
        """Same as :meth:`_select_by_iou`, with NMS by normalised Gaussian Wasserstein distance."""
        levels = [
            find_top_rpn_proposals(
                [of_level],
                [logits_of_level],
                image_sizes,
                2.0,  # no IoU exceeds this, so NMS by IoU keeps all
                candidates,
                candidates,
                self.min_box_size,
                self.training,
            )
            for of_level, logits_of_level in zip(boxes, logits, strict=True)
        ]
        selected = []
        for per_level in zip(*levels, strict=True):
            kept = Instances.cat([self._nms_by_nwd(proposals) for proposals in per_level])
            best = kept.objectness_logits.argsort(descending=True, stable=True)
            selected.append(kept[best[:most]])
        return selected

    def _nms_by_nwd(self, ranked: Instances) -> Instances:
        boxes = ranked.proposal_boxes.tensor
        return ranked[wasserstein_nms(boxes, self.nms_thresh, self.nwd_constant)]

    def _limits(self, image_sizes: list[tuple[int, int]]) -> tuple[int, int]:
        """Number of boxes of a level that go into NMS, and largest number of proposals after it."""
        candidates, most = self.pre_nms_topk[self.training], self.post_nms_topk[self.training]
        if self.training or not self.pixels_per_proposal_test:
            return candidates, most
        pixels = max(height * width for height, width in image_sizes)
        limit = max(pixels // self.pixels_per_proposal_test, 1)
        return min(candidates, limit * _CANDIDATES), min(most, limit)

    def most_proposals(self, image_size: tuple[int, int]) -> int:
        """The largest number of proposals of an image of size (h, w), in this mode."""
        return self._limits([image_size])[1]

    def _above_threshold(self, proposals: Instances) -> Instances:
        if not self.score_thresh_test:
            return proposals
        lowest_logit = math.log(self.score_thresh_test / (1 - self.score_thresh_test))
        return proposals[proposals.objectness_logits >= lowest_logit]
