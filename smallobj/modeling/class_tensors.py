"""Which tensors of a model depend on classes: the one table of all detectors.

K: classes. Rows are those of a tensor's first axis: outputs of a layer.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from torch import nn

from smallobj.checkpoint.class_rows import ClassRows, ModelClasses
from smallobj.modeling.class_losses import SeesawLoss
from smallobj.modeling.meta_arch.refinedet_head import RefineDetHead
from smallobj.modeling.meta_arch.ssd import SSDHead
from smallobj.modeling.roi_heads.integral import IntegralOutputLayers
from smallobj.modeling.yolo.head import OBJECTNESS, YOLOv3Head

_PLAIN = ClassRows()
_WITH_BACKGROUND = ClassRows(after=1)

# Class of a module: {start of the name of a tensor in it: its rows}.
_TABLE: dict[type[nn.Module], dict[str, ClassRows]] = {
    # Faster R-CNN, cascade, iterative, integral loss, Mask R-CNN, whatever the classification loss.
    FastRCNNOutputLayers: {"cls_score.": _WITH_BACKGROUND, "bbox_pred.": ClassRows(each=4)},
    IntegralOutputLayers: {"further_scores.": _WITH_BACKGROUND},
    MaskRCNNConvUpsampleHead: {"predictor.": _PLAIN},
    SeesawLoss: {"class_counts": _PLAIN},
    # For each anchor its classes; with focal loss there is no background.
    RetinaNetHead: {"cls_score.": _PLAIN},
    SSDHead: {"cls_score.": _WITH_BACKGROUND},
    RefineDetHead: {"odm_logits.": _WITH_BACKGROUND},
    # For each prior a box, objectness and its classes; "scales.0.predict.weight", say.
    YOLOv3Head: {
        f"scales.{scale}.predict.": ClassRows(before=OBJECTNESS + 1) for scale in range(3)
    },
}


def find_classes(cfg: CfgNode, model: nn.Module) -> ModelClasses:
    """The names of a model's classes, and the tensors that depend on them.

    Args:
        cfg: config of the model.
        model: built from it.

    Returns:
        No names of a FocusNet, which finds objects of any class; no tensors of a model that has no
        module of the table, such as a plugin's.
    """
    if cfg.MODEL.META_ARCHITECTURE == "FocusNet":
        return ModelClasses()
    shared = set()
    if cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG:
        shared.add("bbox_pred.")
    if cfg.MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK:
        shared.add("predictor.")
    rows = {}
    for path, module in model.named_modules():
        start = f"{path}." if path else ""
        tables = [parts for kind, parts in _TABLE.items() if isinstance(module, kind)]
        for part, division in (item for parts in tables for item in parts.items()):
            names = [name for name in module.state_dict() if name.startswith(part)]
            if part not in shared:
                rows.update({start + name: division for name in names})
    return ModelClasses(tuple(cfg.MODEL.CLASS_NAMES), rows or None)
