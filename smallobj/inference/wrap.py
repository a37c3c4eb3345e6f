"""From a detector to what validation, ``--eval-only`` and the demo run."""

from __future__ import annotations

from detectron2.config import CfgNode
from torch import nn

from smallobj.data.build import check_native_resolution
from smallobj.inference.focus import FocusedDetector, build_focus
from smallobj.inference.tiled import TiledDetector


def wrap_for_test(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """The model bare, tiled (TEST.TILE.ENABLED), or tiled where a focus network points.

    Raises:
        ValueError: TEST.FOCUS.ENABLED without tiles, or a key out of range.
        FileNotFoundError: no file where TEST.FOCUS says.
    """
    if not cfg.TEST.TILE.ENABLED:
        if cfg.TEST.FOCUS.ENABLED:
            raise ValueError("TEST.FOCUS.ENABLED chooses tiles, and needs TEST.TILE.ENABLED True")
        return model
    if cfg.TEST.FOCUS.ENABLED:
        check_native_resolution(cfg, "TEST.FOCUS.ENABLED looks at images at full scale")
    detector = TiledDetector(cfg, model)
    return FocusedDetector(build_focus(cfg), detector) if cfg.TEST.FOCUS.ENABLED else detector
