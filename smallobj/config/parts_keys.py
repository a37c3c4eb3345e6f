"""Keys of what helps a two-stage detector with small objects: RPN, pyramid, backbones."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_parts_keys(cfg: CfgNode) -> None:
    _add_rpn_keys(cfg)
    # Backbones from timm, for build_timm_fpn_backbone and build_timm_pafpn_backbone.
    cfg.MODEL.TIMM = CfgNode()
    # A model of timm that gives features of strides 4, 8, 16 and 32, by its name there.
    cfg.MODEL.TIMM.NAME = "convnext_tiny"
    # Further arguments of timm.create_model, each as "NAME=VALUE", such as "drop_path_rate=0.1".
    cfg.MODEL.TIMM.OPTIONS = []


def _add_rpn_keys(cfg: CfgNode) -> None:
    # All of SmallObjectRPN. How alike an anchor and an object are: "iou", or "nwd", normalised
    # Gaussian Wasserstein distance exp(-W2 / C) (arXiv 2110.13389, section 3.2), which falls off
    # by pixels and not by shares of the object.
    cfg.MODEL.RPN.MATCH_METRIC = "iou"
    # Likewise for NMS among proposals; MODEL.RPN.NMS_THRESH is its threshold (paper: 0.85).
    cfg.MODEL.RPN.NMS_METRIC = "iou"
    # C, in pixels: the typical side of an object. Detectron2's key MODEL.RPN.BBOX_REG_LOSS_TYPE
    # also takes "nwd", 1 - exp(-W2 / C).
    cfg.MODEL.RPN.NWD_CONSTANT = 12.8
    # "fixed": anchors are positive from the upper of MODEL.RPN.IOU_THRESHOLDS on. "scale_adaptive":
    # from BASE + SLOPE log2(sqrt(w h) / SIZE) on, w and h of the object, held within BOUNDS
    # (arXiv 2308.09534, section 3.1, with the constants of its release).
    cfg.MODEL.RPN.MATCHING = "fixed"
    cfg.MODEL.RPN.SCALE_ADAPTIVE = CfgNode()
    # IoU that an object of side SIZE asks for.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.BASE = 0.25
    # gamma: what each doubling of the side adds to it.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.SLOPE = 0.15
    # Side, in pixels.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.SIZE = 12.0
    # Lowest and highest threshold.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.BOUNDS = (0.2, 0.7)
    # Anchors whose IoU with every object is below this are background; between the two none is
    # asked.
    cfg.MODEL.RPN.SCALE_ADAPTIVE.BACKGROUND = 0.15
