"""Classification losses of box heads, chosen by MODEL.ROI_BOX_HEAD.CLS_LOSS."""

from __future__ import annotations

from detectron2.config import CfgNode

from smallobj.modeling.class_losses.class_loss import (
    CLASS_LOSS_REGISTRY,
    ClassLoss,
    CrossEntropyLoss,
)
from smallobj.modeling.class_losses.equalization import (
    SigmoidEqualizationLoss,
    SoftmaxEqualizationLoss,
)
from smallobj.modeling.class_losses.focal import SoftmaxFocalLoss
from smallobj.modeling.class_losses.seesaw import SeesawLoss

__all__ = [
    "CLASS_LOSS_REGISTRY",
    "ClassLoss",
    "CrossEntropyLoss",
    "SeesawLoss",
    "SigmoidEqualizationLoss",
    "SoftmaxEqualizationLoss",
    "SoftmaxFocalLoss",
    "build_class_loss",
]


def build_class_loss(cfg: CfgNode) -> ClassLoss:
    """Builds the loss named by MODEL.ROI_BOX_HEAD.CLS_LOSS.

    Raises:
        ValueError: the name is unknown, or a key of the loss has a bad value.
    """
    key = "MODEL.ROI_BOX_HEAD.CLS_LOSS"
    return CLASS_LOSS_REGISTRY.find(cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS, key)(cfg)
