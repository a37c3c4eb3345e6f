"""Greedy non-maximum suppression."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import batched_nms
from detectron2.structures import Instances
from torchvision.ops import nms

from smallobj.merging.registry import MERGER_REGISTRY


@MERGER_REGISTRY.register()
class NMSMerger:
    """Keeps the best box of each cluster, within a class or across all."""

    @configurable
    def __init__(self, *, iou_threshold: float, class_agnostic: bool) -> None:
        if not 0 <= iou_threshold <= 1:
            raise ValueError(f"TEST.MERGER.IOU_THRESHOLD must lie in [0, 1]; got {iou_threshold}")
        self.iou_threshold = iou_threshold
        self.class_agnostic = class_agnostic

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        node = cfg.TEST.MERGER
        return {"iou_threshold": node.IOU_THRESHOLD, "class_agnostic": node.CLASS_AGNOSTIC}

    def __call__(self, instances: Instances) -> Instances:
        boxes, scores = instances.pred_boxes.tensor, instances.scores
        if self.class_agnostic:
            keep = nms(boxes, scores, self.iou_threshold)
        else:
            keep = batched_nms(boxes, scores, instances.pred_classes, self.iou_threshold)
        return instances[keep]
