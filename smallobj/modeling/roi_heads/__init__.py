"""ROI heads; importing registers them."""

from smallobj.modeling.roi_heads.cascade import SmallObjectCascadeROIHeads
from smallobj.modeling.roi_heads.integral import IntegralLossROIHeads
from smallobj.modeling.roi_heads.iterative import IterativeBBoxROIHeads
from smallobj.modeling.roi_heads.standard import SmallObjectROIHeads

__all__ = [
    "IntegralLossROIHeads",
    "IterativeBBoxROIHeads",
    "SmallObjectCascadeROIHeads",
    "SmallObjectROIHeads",
]
