"""Unknown names of a model's parts, which Detectron2's registries don't have."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from detectron2 import modeling
from detectron2.config import CfgNode
from detectron2.modeling.proposal_generator.rpn import RPN_HEAD_REGISTRY
from detectron2.utils.registry import Registry

from smallobj.checks import check_choice

_REGISTRIES: tuple[Registry, ...] = (
    modeling.META_ARCH_REGISTRY,
    modeling.BACKBONE_REGISTRY,
    modeling.PROPOSAL_GENERATOR_REGISTRY,
    RPN_HEAD_REGISTRY,
    modeling.ROI_HEADS_REGISTRY,
    modeling.ROI_BOX_HEAD_REGISTRY,
    modeling.ROI_MASK_HEAD_REGISTRY,
    modeling.ROI_KEYPOINT_HEAD_REGISTRY,
    modeling.ANCHOR_GENERATOR_REGISTRY,
)
_MESSAGE = re.compile(r"No object named '(.*)' found in '(.*)' registry")


@contextlib.contextmanager
def check_part_names(cfg: CfgNode) -> Iterator[None]:
    """Turns a registry's KeyError into an error that names the config key and the known names.

    Raises:
        ValueError: a part's name is in none of the registries.
    """
    try:
        yield
    except KeyError as error:
        found = _MESSAGE.match(str(error.args[0] if error.args else ""))
        if found is None:
            raise
        name, kind = found.groups()
        known = [part for each in _REGISTRIES if each._name == kind for part, _ in each]
        check_choice(_key_of(cfg.MODEL, "MODEL", name) or kind, name, sorted(known))
        raise


def _key_of(node: CfgNode, prefix: str, value: str) -> str:
    """The dotted name of the first key with a value; "" if none has it."""
    for key, own in node.items():
        name = f"{prefix}.{key}"
        if isinstance(own, CfgNode):
            inside = _key_of(own, name, value)
            if inside:
                return inside
        elif own == value:
            return name
    return ""
