"""Keys of models: numbers of classes, arithmetic, RPN, box and cascade heads."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_model_keys(cfg: CfgNode) -> None:
    # 0 takes the number of classes from the training data; another number must agree with it.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0
    cfg.MODEL.RETINANET.NUM_CLASSES = 0
    # Written by training into OUTPUT_DIR/config.yaml, so that a model names what it finds.
    cfg.MODEL.CLASS_NAMES = []
    # Arithmetic of the backbone in training: float32 or bfloat16. Boxes and losses stay in
    # float32, since 8 bits of mantissa move a box at x = 500 by 2 px.
    cfg.MODEL.BACKBONE.PRECISION = "float32"
    # SmallObjectRPN: lowest objectness, a probability, of a proposal at test time.
    cfg.MODEL.RPN.SCORE_THRESH_TEST = 0.0
    # Likewise: one proposal at most for so many pixels of the input, since a small window can't
    # hold many objects; 0: no such limit.
    cfg.MODEL.RPN.PIXELS_PER_PROPOSAL_TEST = 0

    # Side of the pooled region over the side of the box; 1 pools the box alone.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE = 1.0
    # "replace" pools the enlarged box only; "concat" both, mixed by a 1x1 convolution.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_FUSION = "concat"
    # Detectron2's key MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE also takes "nwd" here:
    # 1 - exp(-W2 / C), normalised Gaussian Wasserstein distance (arXiv 2110.13389, section 3.2).
    # C, in pixels: the typical side of an object.
    cfg.MODEL.ROI_BOX_HEAD.NWD_CONSTANT = 12.8
    # "cross_entropy" or "focal" (softmax focal loss, (1 - p)^gamma on the cross entropy).
    cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS = "cross_entropy"
    # gamma of arXiv 1708.02002, section 3.
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_GAMMA = 2.0

    # Weight of each stage's losses. Detectron2 sums them; the paper's Caffe release: 1, .5, .25.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS = (1.0, 1.0, 1.0)
    # "own_roi": mean of each stage's scores on its own input boxes (Detectron2).
    # "rescore": mean of all stages' scores on the last stage's input boxes (arXiv 1712.00726, 4.1).
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.SCORING = "own_roi"
