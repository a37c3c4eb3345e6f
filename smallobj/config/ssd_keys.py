"""Keys of SSD (arXiv 1512.02325); defaults are those of SSD300 for COCO."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_ssd_keys(cfg: CfgNode) -> None:
    cfg.MODEL.SSD = CfgNode()
    # Feature maps that boxes are predicted from.
    cfg.MODEL.SSD.IN_FEATURES = ["conv4_3", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"]
    # Start of the learnt scale of the L2 normalisation of each map; 0: not normalised. The paper
    # has 20 for conv4_3 (section 3.1).
    cfg.MODEL.SSD.L2_NORM = [20.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    # SSDAnchorGenerator. Side, in pixels, of the input that SCALES and STEPS were made for.
    # Images of other sizes get default boxes of the same pixels, more or fewer of them.
    cfg.MODEL.SSD.INPUT_SIZE = 300
    # s_k of each map (section 2.2), in INPUT_SIZE, and one more: each map also has a square box of
    # the geometric mean of its own and the next. Without conv4_3's the paper spreads them evenly
    # from 0.2 to 0.9; conv4_3 has 0.1. For COCO it takes 0.15, and 0.07 for conv4_3.
    cfg.MODEL.SSD.SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
    # a_r of each map: width over height of further boxes; each also stands for its inverse.
    cfg.MODEL.SSD.ASPECT_RATIOS = [[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]]
    # Distance, in pixels, between the centres of a map's boxes; 0 spreads them over the image, as
    # in the paper's (i + 0.5) / |f_k|, which a map needs whose layers cut its border off.
    cfg.MODEL.SSD.STEPS = [8, 16, 32, 64, 0, 0]
    # Lowest IoU of default boxes with an object, besides the one that is bound to it.
    cfg.MODEL.SSD.IOU_THRESHOLD = 0.5
    # Background boxes in the loss for each box of an object (section 2.2).
    cfg.MODEL.SSD.NEGATIVE_RATIO = 3.0
    # Background boxes in the loss of an image with fewer of them. 0 is the paper's: there an image
    # without objects teaches nothing, while most tiles of a large photograph show none.
    cfg.MODEL.SSD.MIN_NEGATIVES = 0
    # Inverses of the variances 0.1, 0.1, 0.2, 0.2 that the Caffe release divides targets by.
    cfg.MODEL.SSD.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # smooth_l1, as in the paper, giou, diou or ciou.
    cfg.MODEL.SSD.BBOX_REG_LOSS_TYPE = "smooth_l1"
    # Lowest score of a detection.
    cfg.MODEL.SSD.SCORE_THRESH_TEST = 0.01
    # Detections of each class that go into non-maximum suppression.
    cfg.MODEL.SSD.TOPK_CANDIDATES_TEST = 400
    # IoU of detections of one class of which only the better one is kept. Of those kept,
    # TEST.DETECTIONS_PER_IMAGE remain: 200 in the paper.
    cfg.MODEL.SSD.NMS_THRESH_TEST = 0.45
