"""Mergers: one image's boxes from many tiles in, one box an object out."""

from smallobj.merging.nms import NMSMerger
from smallobj.merging.registry import MERGER_REGISTRY, build_merger

__all__ = ["MERGER_REGISTRY", "NMSMerger", "build_merger"]
