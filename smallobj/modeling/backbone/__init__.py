"""Backbones; importing registers them with Detectron2."""

from smallobj.modeling.backbone.darknet import Darknet, build_darknet_backbone
from smallobj.modeling.backbone.pyramid import FinestLevelFPN, PathAggregationFPN
from smallobj.modeling.backbone.resnet_extra import build_resnet_extra_backbone
from smallobj.modeling.backbone.timm_features import TimmFeatures
from smallobj.modeling.backbone.vgg import VGG16, build_vgg_backbone

__all__ = [
    "VGG16",
    "Darknet",
    "FinestLevelFPN",
    "PathAggregationFPN",
    "TimmFeatures",
    "build_darknet_backbone",
    "build_resnet_extra_backbone",
    "build_vgg_backbone",
]
