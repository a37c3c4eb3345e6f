"""Models; importing registers them with Detectron2."""

from smallobj.modeling import roi_heads
from smallobj.modeling.build import build_model

__all__ = ["build_model", "roi_heads"]
