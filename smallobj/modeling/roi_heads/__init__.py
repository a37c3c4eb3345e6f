"""ROI heads; importing registers them."""

from smallobj.modeling.roi_heads.cascade import SmallObjectCascadeROIHeads

__all__ = ["SmallObjectCascadeROIHeads"]
