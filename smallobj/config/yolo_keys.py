"""Keys of YOLOv3 and of its backbone, Darknet-53 (arXiv 1804.02767)."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_yolo_keys(cfg: CfgNode) -> None:
    cfg.MODEL.DARKNET = CfgNode()
    # Channels of the first convolution; each of the five stages doubles them. Darknet-53: 32.
    cfg.MODEL.DARKNET.STEM_CHANNELS = 32
    # Residual blocks of each of the five stages. Darknet-53: 1, 2, 8, 8, 4.
    cfg.MODEL.DARKNET.BLOCKS = (1, 2, 8, 8, 4)
    # Detectron2's name of the normalisation. Original weight files need BN, SyncBN or FrozenBN;
    # GN needs STEM_CHANNELS to be a multiple of 32.
    cfg.MODEL.DARKNET.NORM = "BN"
    # Stages whose outputs are handed on: dark1 to dark5, of stride 2 to 32.
    cfg.MODEL.DARKNET.OUT_FEATURES = ["dark3", "dark4", "dark5"]

    cfg.MODEL.YOLO = CfgNode()
    # Features that the head predicts on, the finest first.
    cfg.MODEL.YOLO.IN_FEATURES = ["dark3", "dark4", "dark5"]
    # Normalisation in the head, as MODEL.DARKNET.NORM.
    cfg.MODEL.YOLO.NORM = "BN"
    # (width, height) of each prior, p_w and p_h, in pixels that the network sees: the first third
    # lies on the finest feature, and so on. () fits three a feature to DATASETS.TRAIN by k-means
    # when training starts; OUTPUT_DIR/config.yaml then holds them.
    cfg.MODEL.YOLO.ANCHORS = ()
    # A predicted box that overlaps an object by more than this IoU, and isn't the one assigned to
    # it, is neither object nor background. Paper, section 2.1: 0.5; authors' COCO config: 0.7.
    cfg.MODEL.YOLO.IGNORE_IOU = 0.5
    # Loss of the centre's place in its cell, sigmoid(t_x) and sigmoid(t_y): "squared_error", or
    # "cross_entropy", whose gradient is what the authors' program descends.
    cfg.MODEL.YOLO.CENTER_LOSS = "squared_error"
    # Objectness that the untrained network gives every prior.
    cfg.MODEL.YOLO.PRIOR_PROB = 0.01
    # Lowest score, objectness times probability of the class, of a detection.
    cfg.MODEL.YOLO.SCORE_THRESH_TEST = 0.02
    # Candidates of each feature that go into NMS, the best first.
    cfg.MODEL.YOLO.TOPK_CANDIDATES_TEST = 1000
    # Of boxes of one class that overlap by more than this IoU the best one stays.
    cfg.MODEL.YOLO.NMS_THRESH_TEST = 0.45
