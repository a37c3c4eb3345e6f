"""Backbones; importing registers them with Detectron2."""

from smallobj.modeling.backbone.pyramid import FinestLevelFPN, PathAggregationFPN
from smallobj.modeling.backbone.timm_features import TimmFeatures

__all__ = ["FinestLevelFPN", "PathAggregationFPN", "TimmFeatures"]
