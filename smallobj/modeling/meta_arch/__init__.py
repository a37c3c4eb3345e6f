"""Meta-architectures; importing registers them with Detectron2."""

from smallobj.modeling.meta_arch.focus import FocusNet
from smallobj.modeling.meta_arch.yolov3 import YOLOv3

__all__ = ["FocusNet", "YOLOv3"]
