"""Classification losses of box heads, chosen by MODEL.ROI_BOX_HEAD.CLS_LOSS."""

from __future__ import annotations

from detectron2.config import CfgNode

from smallobj.checks import check_choice
from smallobj.modeling.class_losses.class_loss import ClassLoss, CrossEntropyLoss
from smallobj.modeling.class_losses.equalization import (
    SigmoidEqualizationLoss,
    SoftmaxEqualizationLoss,
)
from smallobj.modeling.class_losses.focal import SoftmaxFocalLoss
from smallobj.modeling.class_losses.seesaw import SeesawLoss

CLASS_LOSSES: dict[str, type[ClassLoss]] = {
    "cross_entropy": CrossEntropyLoss,
    "focal": SoftmaxFocalLoss,
    "seesaw": SeesawLoss,
    "equalization": SigmoidEqualizationLoss,
    "equalization_softmax": SoftmaxEqualizationLoss,
}

__all__ = [
    "CLASS_LOSSES",
    "ClassLoss",
    "CrossEntropyLoss",
    "SeesawLoss",
    "SigmoidEqualizationLoss",
    "SoftmaxEqualizationLoss",
    "SoftmaxFocalLoss",
    "build_class_loss",
]


def build_class_loss(cfg: CfgNode) -> ClassLoss:
    """
    Raises:
        ValueError: an unknown name, or a bad value of one of the loss's keys.
    """
    name = cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS
    check_choice("MODEL.ROI_BOX_HEAD.CLS_LOSS", name, CLASS_LOSSES)
    return CLASS_LOSSES[name](cfg)
