"""Backbones; importing registers them with Detectron2."""

from smallobj.modeling.backbone.vgg import VGG16, build_vgg_backbone

__all__ = ["VGG16", "build_vgg_backbone"]
