"""Meta-architectures; importing registers them with Detectron2."""

from smallobj.modeling.meta_arch.focus import FocusNet
from smallobj.modeling.meta_arch.refinedet import RefineDet
from smallobj.modeling.meta_arch.ssd import SSD

__all__ = ["SSD", "FocusNet", "RefineDet"]
