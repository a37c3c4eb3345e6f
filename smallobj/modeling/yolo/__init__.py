"""Parts of YOLOv3: head, priors, and which prior answers for which object."""

from smallobj.modeling.yolo.assignment import assign_priors, last_of_each
from smallobj.modeling.yolo.head import YOLOv3Head
from smallobj.modeling.yolo.priors import YOLOPriorGenerator

__all__ = ["YOLOPriorGenerator", "YOLOv3Head", "assign_priors", "last_of_each"]
