"""Backbones; importing registers them with Detectron2."""

from smallobj.modeling.backbone.darknet import Darknet, build_darknet_backbone

__all__ = ["Darknet", "build_darknet_backbone"]
