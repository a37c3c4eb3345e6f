"""Parts of YOLOv3: the head, the priors, and their assignment to objects."""

from smallobj.modeling.yolo.assignment import assign_priors, last_of_each
from smallobj.modeling.yolo.head import YOLOv3Head
from smallobj.modeling.yolo.priors import YOLOPriorGenerator

__all__ = ["YOLOPriorGenerator", "YOLOv3Head", "assign_priors", "last_of_each"]
