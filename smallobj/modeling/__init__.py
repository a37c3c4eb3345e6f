"""Models; importing registers them with Detectron2."""

from smallobj.modeling import backbone, meta_arch, proposal_generator, roi_heads
from smallobj.modeling.build import build_model

__all__ = ["backbone", "build_model", "meta_arch", "proposal_generator", "roi_heads"]
