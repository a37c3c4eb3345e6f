"""Keys of models: numbers of classes, arithmetic, RPN."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_model_keys(cfg: CfgNode) -> None:
    # 0 takes the number of classes from the training data; another number must agree with it.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0
    cfg.MODEL.RETINANET.NUM_CLASSES = 0
    # Written by training into OUTPUT_DIR/config.yaml, so that a model names what it finds.
    cfg.MODEL.CLASS_NAMES = []
    # Beginnings of names, such as ["backbone"]: training begins with these tensors of MODEL.WEIGHTS
    # alone, and with random numbers elsewhere. [] takes all that fit.
    cfg.MODEL.WEIGHTS_PARTS = []
    # Arithmetic of the backbone in training: float32 or bfloat16. Boxes and losses stay in
    # float32, since 8 bits of mantissa move a box at x = 500 by 2 px.
    cfg.MODEL.BACKBONE.PRECISION = "float32"
    # SmallObjectRPN: lowest objectness, a probability, of a proposal at test time.
    cfg.MODEL.RPN.SCORE_THRESH_TEST = 0.0
    # Likewise: one proposal at most for so many pixels of the input, since a small window can't
    # hold many objects; 0: no such limit.
    cfg.MODEL.RPN.PIXELS_PER_PROPOSAL_TEST = 0
