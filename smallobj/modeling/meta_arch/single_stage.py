"""Base classes of SSD, RefineDet and YOLOv3: how they are built, matching, and NMS.

Shapes: R anchors of an image, over all feature maps; K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec, batched_nms
from detectron2.modeling import build_anchor_generator, build_backbone
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.modeling.meta_arch.retinanet import RetinaNet
from detectron2.structures import Instances
from torch import nn

from smallobj.checks import check_between, check_positive, check_some_of
from smallobj.modeling.detection_limit import DetectionLimit
from smallobj.modeling.matching import BipartiteMatcher


class SingleStageDetector(DenseDetector):
    """A DenseDetector with anchors and with the config node ``MODEL.<key>``.

    Attributes:
        key: name of the config node, which has IN_FEATURES, SCORE_THRESH_TEST, TOPK_CANDIDATES_TEST
            and NMS_THRESH_TEST.
    """

    key: ClassVar[str]

    def __init__(
        self,
        *,
        head_in_features: Sequence[str],
        anchor_generator: Any,
        box2box_transform: Any,
        num_classes: int,
        test_score_thresh: float,
        test_topk_candidates: int,
        test_nms_thresh: float,
        max_detections_per_image: int,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            head_in_features: names of the backbone's features for the head.
            anchor_generator: makes the anchors of each of these features, as Boxes.
            box2box_transform: transform from anchors to boxes.
            num_classes: K.
            test_score_thresh: detections have a higher score than this, in [0, 1).
            test_topk_candidates: number of candidates, those of highest score, that go into NMS.
            test_nms_thresh: IoU threshold of NMS, which works within each class.
            max_detections_per_image: largest number of detections after NMS.
            kwargs: backbone, head, pixel_mean and pixel_std, as in :class:`DenseDetector`.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__(head_in_features=list(head_in_features), **kwargs)
        node = f"MODEL.{self.key}"
        check_between(f"{node}.SCORE_THRESH_TEST", test_score_thresh, 0, 1, "[)")
        check_between(f"{node}.NMS_THRESH_TEST", test_nms_thresh, 0, 1, "(]")
        check_positive(f"{node}.TOPK_CANDIDATES_TEST", test_topk_candidates)
        check_positive("TEST.DETECTIONS_PER_IMAGE", max_detections_per_image)
        self.anchor_generator = anchor_generator
        self.box2box_transform = box2box_transform
        self.num_classes = num_classes
        # These names are read by methods of DenseDetector.
        self.test_score_thresh = test_score_thresh
        self.test_topk_candidates = test_topk_candidates
        self.test_nms_thresh = test_nms_thresh
        self.max_detections_per_image = max_detections_per_image
        self.limit = DetectionLimit(max_detections_per_image)

    @classmethod
    def build_head(
        cls, cfg: CfgNode, input_shape: list[ShapeSpec], num_anchors: list[int]
    ) -> nn.Module:
        """Builds the head.

        Args:
            cfg: the config.
            input_shape: shapes of the features.
            num_anchors: number of anchors per position, for each feature.

        Raises:
            ValueError: the head can't be built for these features or anchors.
        """
        raise NotImplementedError

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        node = cfg.MODEL[cls.key]
        backbone = build_backbone(cfg)
        shapes = backbone.output_shape()
        check_some_of(f"MODEL.{cls.key}.IN_FEATURES", node.IN_FEATURES, shapes)
        input_shape = [shapes[name] for name in node.IN_FEATURES]
        anchor_generator = build_anchor_generator(cfg, input_shape)
        return {
            "backbone": backbone,
            "head": cls.build_head(cfg, input_shape, anchor_generator.num_anchors),
            "head_in_features": node.IN_FEATURES,
            "anchor_generator": anchor_generator,
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "test_score_thresh": node.SCORE_THRESH_TEST,
            "test_topk_candidates": node.TOPK_CANDIDATES_TEST,
            "test_nms_thresh": node.NMS_THRESH_TEST,
            "max_detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def suppressed(self, candidates: Instances) -> Instances:
        """The detections that NMS keeps of ``candidates``, which are in any order; best first."""
        keep = batched_nms(
            candidates.pred_boxes.tensor,
            candidates.scores,
            candidates.pred_classes,
            self.test_nms_thresh,
        )
        return self.limit(candidates[keep])


class MatchedAnchorsDetector(SingleStageDetector):
    """Base class of SSD and RefineDet: anchors matched with objects, and hard negatives."""

    # Detectron2's method, which needs only anchor_matcher and num_classes. RetinaNet isn't the base
    # class, since that would bring in its focal loss and its head.
    label_anchors = RetinaNet.label_anchors

    def __init__(
        self, *, anchor_matcher: Any, negative_ratio: float, min_negatives: int, **kwargs: Any
    ) -> None:
        """
        Args:
            anchor_matcher: matches anchors with objects, like Detectron2's Matcher.
            negative_ratio, min_negatives: ratio and minimum of
                :func:`~smallobj.modeling.hard_negatives.mined_cross_entropy`.
            kwargs: arguments of :class:`SingleStageDetector`.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__(**kwargs)
        if negative_ratio < 0 or min_negatives < 0 or negative_ratio == min_negatives == 0:
            raise ValueError(
                f"MODEL.{self.key}.NEGATIVE_RATIO and MIN_NEGATIVES must not both be 0, "
                "NEGATIVE_RATIO not negative and MIN_NEGATIVES not negative; "
                f"got {negative_ratio} and {min_negatives}"
            )
        self.anchor_matcher = anchor_matcher
        self.negative_ratio = negative_ratio
        self.min_negatives = min_negatives

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        node = cfg.MODEL[cls.key]
        return {
            **super().from_config(cfg),
            "box2box_transform": Box2BoxTransform(weights=tuple(node.BBOX_REG_WEIGHTS)),
            "anchor_matcher": BipartiteMatcher(_one_threshold(node.IOU_THRESHOLDS, cls.key)),
            "negative_ratio": node.NEGATIVE_RATIO,
            "min_negatives": node.MIN_NEGATIVES,
        }


def _one_threshold(thresholds: Sequence[float], key: str) -> float:
    if len(thresholds) != 1:
        raise ValueError(f"MODEL.{key}.IOU_THRESHOLDS must hold one number; got {list(thresholds)}")
    return thresholds[0]
