"""Meta-architectures; importing registers them with Detectron2."""

from smallobj.modeling.meta_arch.focus import FocusNet

__all__ = ["FocusNet"]
