"""Keys of ROI heads: losses and context of the box head, cascade, iterative and integral heads."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_roi_keys(cfg: CfgNode) -> None:
    # For every ROI head of this project (SmallObjectROIHeads, the cascade and its rivals).
    # Side of the pooled region over the side of the box; 1 pools the box alone.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE = 1.0
    # "replace" pools the enlarged box only; "concat" both, mixed by a 1x1 convolution.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_FUSION = "concat"
    # Detectron2's key MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE also takes "nwd" here:
    # 1 - exp(-W2 / C), normalised Gaussian Wasserstein distance (arXiv 2110.13389, section 3.2).
    # C, in pixels: the typical side of an object.
    cfg.MODEL.ROI_BOX_HEAD.NWD_CONSTANT = 12.8
    _add_class_loss_keys(cfg)

    # Weight of each stage's losses, one a stage; () weighs all by 1, as Detectron2 does.
    # The paper's Caffe release: 1, .5, .25.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS = ()
    # "own_roi": mean of each stage's scores on its own input boxes (Detectron2).
    # "rescore": mean of all stages' scores on the last stage's input boxes (arXiv 1712.00726, 4.1).
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.SCORING = "own_roi"
    # Stages whose scores are averaged at test time, from 1 on; boxes are the last one's, and stages
    # behind it don't run. () takes all.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.TEST_STAGES = ()

    # IterativeBBoxROIHeads: how often the one head runs at test time, each time on the boxes that
    # it gave before; 1 is a plain Faster R-CNN (arXiv 1712.00726, section 3.2).
    cfg.MODEL.ROI_BOX_ITERATIVE_HEAD = CfgNode()
    cfg.MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS = 3
    # IntegralLossROIHeads: U, the IoU from which each classifier calls a proposal an object,
    # rising; the first must be MODEL.ROI_HEADS.IOU_THRESHOLDS (arXiv 1712.00726, section 3.3).
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD = CfgNode()
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
    # "sum" of the classifiers' losses (as there), by which six of them outweigh the RPN six times,
    # or their "mean" (arXiv 1604.02135, section 3.3, which Integral Loss comes from).
    cfg.MODEL.ROI_BOX_INTEGRAL_HEAD.LOSS_REDUCTION = "sum"


def _add_class_loss_keys(cfg: CfgNode) -> None:
    # "cross_entropy", "focal" (softmax focal loss), "seesaw", "equalization" (sigmoid) or
    # "equalization_softmax".
    cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS = "cross_entropy"
    # gamma of arXiv 1708.02002, section 3: (1 - p)^gamma weighs the cross entropy.
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_GAMMA = 2.0
    # p of arXiv 2008.10032, section 3: how much a frequent class spares a rarer one; 0: not at
    # all.
    cfg.MODEL.ROI_BOX_HEAD.SEESAW_P = 0.8
    # q, likewise: how much more a class is punished that outscores the true one; 0: no more.
    cfg.MODEL.ROI_BOX_HEAD.SEESAW_Q = 2.0
    # lambda of arXiv 2003.05176, section 3: a class in less than this share of the training
    # photographs is rare. The default is the authors', for LVIS with its 1,230 classes.
    cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_LAMBDA = 0.00177
    # gamma, likewise, with softmax alone: probability with which a rare class is spared.
    cfg.MODEL.ROI_BOX_HEAD.EQUALIZATION_GAMMA = 0.95
    # f, likewise: share of the training photographs that show each class, K numbers in [0, 1].
    # Training counts them where a loss needs them and this is empty, and writes them into
    # OUTPUT_DIR/config.yaml.
    cfg.MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES = []
