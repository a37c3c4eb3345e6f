"""Keys of RefineDet (arXiv 1711.06897); the values are those of the released code."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_refinedet_keys(cfg: CfgNode) -> None:
    cfg.MODEL.REFINEDET = CfgNode()
    # Backbone features that carry anchors, each of half the resolution of the one before.
    cfg.MODEL.REFINEDET.IN_FEATURES = ["conv4_3", "conv5_3", "fc7", "conv6_2"]
    # Length, at the start of training, that L2 normalisation gives each of these features; 0: none.
    cfg.MODEL.REFINEDET.L2_SCALES = [10.0, 8.0, 0.0, 0.0]
    # Channels of the transfer connection blocks.
    cfg.MODEL.REFINEDET.TCB_CHANNELS = 256
    # Normalisation of their convolutions, by Detectron2's name; "": none, as released.
    cfg.MODEL.REFINEDET.NORM = ""
    # Inverses of the variances .1, .1, .2, .2 of (x, y, w, h), in both steps.
    cfg.MODEL.REFINEDET.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # An anchor matches an object that it overlaps by this IoU, beside each object's best anchor.
    cfg.MODEL.REFINEDET.IOU_THRESHOLD = 0.5
    # Background anchors, those of highest loss, that train for each matched one.
    cfg.MODEL.REFINEDET.NEGATIVE_RATIO = 3.0
    # Of those, at least so many in each image. 0 is the released code's: there an image without
    # objects teaches nothing, while most tiles of a large photograph show none.
    cfg.MODEL.REFINEDET.MIN_NEGATIVES = 0
    # theta: anchors that the ARM takes for background with more confidence than this, in (0, 1],
    # neither train the ODM nor are detections; 1 keeps all.
    cfg.MODEL.REFINEDET.NEGATIVE_CONFIDENCE = 0.99
    # Lowest score of a detection.
    cfg.MODEL.REFINEDET.SCORE_THRESH_TEST = 0.01
    # Detections that go into NMS at most, those of highest score ...
    cfg.MODEL.REFINEDET.TOPK_CANDIDATES_TEST = 1000
    # ... of each "class" (released code) or of the whole "image" (paper, section 4: 400).
    cfg.MODEL.REFINEDET.TOPK_SCOPE_TEST = "class"
    # Detections of one class that overlap by more than this IoU are one object. What is left of an
    # image, or of a tile where tiles are on, is cut at Detectron2's TEST.DETECTIONS_PER_IMAGE.
    cfg.MODEL.REFINEDET.NMS_THRESH_TEST = 0.45
