"""Refuses keys that only this project's ROI heads read if the ROI head is one of Detectron2's."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import ROI_HEADS_REGISTRY

from smallobj.config import get_cfg

_KEYS = ("CLS_LOSS", "CONTEXT_SCALE")


def check_own_keys(cfg: CfgNode) -> None:
    """Checks that the ROI head reads all box head keys that are set.

    Raises:
        ValueError: a key of this project's box heads isn't at its default, and the ROI head is one
            of Detectron2's, which would ignore it.
    """
    if cfg.MODEL.META_ARCHITECTURE != "GeneralizedRCNN":
        return
    name, default = cfg.MODEL.ROI_HEADS.NAME, get_cfg().MODEL.ROI_BOX_HEAD
    if not ROI_HEADS_REGISTRY.get(name).__module__.startswith("detectron2."):
        return
    ours = "SmallObjectCascadeROIHeads" if "Cascade" in name else "SmallObjectROIHeads"
    for key in _KEYS:
        value = cfg.MODEL.ROI_BOX_HEAD[key]
        if value != default[key]:
            raise ValueError(
                f"Detectron2's {name} does not know MODEL.ROI_BOX_HEAD.{key}; got {value!r}. "
                f"Name {ours} as MODEL.ROI_HEADS.NAME instead: it is the same head, with this key."
            )
