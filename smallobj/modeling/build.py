"""A model from a config, with the arithmetic that the config asks for."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import build_model as build_detectron2_model
from torch import nn

from smallobj.modeling.own_keys import check_own_keys
from smallobj.modeling.precision import precision_at_test, precision_in_training, set_precision


def build_model(cfg: CfgNode) -> nn.Module:
    """Detectron2's ``build_model``, with mixed precision and the fastest memory layout.

    Raises:
        ValueError: a precision is unknown, no number of classes is set, or the ROI head is one of
            Detectron2's that would not read a key that is set.
    """
    check_own_keys(cfg)
    training, test = precision_in_training(cfg), precision_at_test(cfg)
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES < 1:
        raise ValueError(
            "MODEL.ROI_HEADS.NUM_CLASSES is 0, so the number of classes has to come from a "
            "dataset, and none was read. Give the number, or the config.yaml that training wrote."
        )
    model = build_detectron2_model(cfg)
    set_precision(model, training, test)
    return model
