"""Matchers, which assign anchors to ground truth objects."""

from smallobj.modeling.matching.bipartite import BipartiteMatcher, bind
from smallobj.modeling.matching.scale_adaptive import ScaleAdaptiveMatcher

__all__ = ["BipartiteMatcher", "ScaleAdaptiveMatcher", "bind"]
