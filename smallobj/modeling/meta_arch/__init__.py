"""Meta-architectures; importing registers them with Detectron2."""

from smallobj.modeling.meta_arch.focus import FocusNet
from smallobj.modeling.meta_arch.refinedet import RefineDet
from smallobj.modeling.meta_arch.ssd import SSD
from smallobj.modeling.meta_arch.yolov3 import YOLOv3

__all__ = ["SSD", "FocusNet", "RefineDet", "YOLOv3"]
