"""The ROI head of Faster and Mask R-CNN with context and a choice of losses."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.roi_heads import StandardROIHeads

from smallobj.modeling.roi_heads.box_output import SmallObjectOutputLayers
from smallobj.modeling.roi_heads.context_pooler import add_context


@ROI_HEADS_REGISTRY.register()
class SmallObjectROIHeads(StandardROIHeads):
    """Detectron2's standard head with a choice of losses and with context.

    The keys are described in :mod:`smallobj.config.model`, under MODEL.ROI_BOX_HEAD. With their
    defaults this is Detectron2's head.
    """

    # Class of the layers that predict classes and boxes from a region's features.
    box_output = SmallObjectOutputLayers

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts = super()._init_box_head(cfg, input_shape)
        parts["box_predictor"] = cls.box_output(cfg, parts["box_head"].output_shape)
        return add_context(cfg, input_shape, parts)
