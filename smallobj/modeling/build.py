"""Builds a model from a config, with the precision that the config asks for."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import build_model as build_detectron2_model
from torch import nn

from smallobj.detectron2_compat import allow_group_norm_in_retinanet
from smallobj.modeling.class_tensors import find_classes
from smallobj.modeling.detection_limit import limit_and_count
from smallobj.modeling.device import on_available_device
from smallobj.modeling.norms import begin_at_the_first_level, norms_for_device
from smallobj.modeling.part_names import check_part_names
from smallobj.modeling.precision import precision_at_test, precision_in_training, set_precision
from smallobj.modeling.unread_keys import check_own_keys
from smallobj.plugins import load_plugins


def build_model(cfg: CfgNode) -> nn.Module:
    """Detectron2's ``build_model``, with mixed precision and the fastest memory layout.

    Without a GPU the model is on the CPU, whatever MODEL.DEVICE says.

    The model's attribute ``classes`` names its classes and the tensors that depend on them.

    Raises:
        ValueError: a precision is unknown; the number of classes is missing or set to two different
            values; the ROI head is one of Detectron2's and would ignore a key that is set; a part's
            name is unknown; or a plugin can't be loaded.
    """
    load_plugins()
    cfg = on_available_device(cfg)
    with check_part_names(cfg):
        return _build(cfg)


def _build(cfg: CfgNode) -> nn.Module:
    check_own_keys(cfg)
    training, test = precision_in_training(cfg), precision_at_test(cfg)
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES < 1:
        raise ValueError(
            "MODEL.ROI_HEADS.NUM_CLASSES is 0, so the number of classes has to come from a "
            "dataset, and none was read. Give the number, or the config.yaml that training wrote."
        )
    allow_group_norm_in_retinanet()
    model = build_detectron2_model(norms_for_device(_with_one_number_of_classes(cfg)))
    if isinstance(getattr(model, "head", None), nn.Module):
        begin_at_the_first_level(model.head)
    limit_and_count(model)
    set_precision(model, training, test)
    model.classes = find_classes(cfg, model)
    return model


def _with_one_number_of_classes(cfg: CfgNode) -> CfgNode:
    """The config with MODEL.ROI_HEADS.NUM_CLASSES copied to the separate key of RetinaNet."""
    number, own = cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.RETINANET.NUM_CLASSES
    if cfg.MODEL.META_ARCHITECTURE != "RetinaNet" or own == number:
        return cfg
    if own:
        raise ValueError(
            f"MODEL.RETINANET.NUM_CLASSES is {own} and MODEL.ROI_HEADS.NUM_CLASSES {number}; leave "
            "the former at 0, which takes it from the latter"
        )
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.RETINANET.NUM_CLASSES = number
    return cfg
