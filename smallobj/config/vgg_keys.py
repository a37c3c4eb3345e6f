"""Keys of the VGG-16 backbone and of the layers that SSD and RefineDet put behind a backbone."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_vgg_keys(cfg: CfgNode) -> None:
    # VGG-16 with fc6 and fc7 as convolutions (MODEL.BACKBONE.NAME build_vgg_backbone).
    cfg.MODEL.VGG = CfgNode()
    # Feature maps to hand on, by their names in the Caffe releases: conv1_1 to conv5_3, fc6, fc7,
    # and conv6_1, conv6_2, conv7_1 ... of MODEL.BACKBONE.EXTRA_LAYERS.
    cfg.MODEL.VGG.OUT_FEATURES = ["conv4_3", "fc7"]
    # Detectron2's name of the normalisation behind each convolution. "" is the paper's network,
    # which begins with ImageNet weights; from scratch the tiny one took twice as many steps of Adam
    # without as with GN (80 and 40) to learn eight tiles by heart.
    cfg.MODEL.VGG.NORM = "GN"
    # Channels of each layer over those of VGG-16; extra layers included.
    cfg.MODEL.VGG.WIDTH = 1.0
    # 1: pool5 keeps stride 16 and fc6 has dilation 6, as in SSD. 2: pool5 halves the map and fc6
    # has dilation 3, as in RefineDet, so fc7 has stride 32.
    cfg.MODEL.VGG.POOL5_STRIDE = 1
    # Images are padded to multiples of this many pixels; 0 pads to none. What adds maps of two
    # levels up needs the largest stride here.
    cfg.MODEL.VGG.SIZE_DIVISIBILITY = 0
    # Layers behind fc7 or behind a ResNet's last stage, one entry for each pair: channels of a 1x1
    # convolution, then channels, kernel, stride and padding of the next. They are called conv6_1,
    # conv6_2, conv7_1, conv7_2 and so on.
    cfg.MODEL.BACKBONE.EXTRA_LAYERS = []
    # build_resnet_extra_backbone: 1 keeps res4 at stride 8, as SSDs on a ResNet do; 2 is usual.
    cfg.MODEL.RESNETS.RES4_STRIDE = 2
