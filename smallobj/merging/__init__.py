"""Mergers: they reduce the boxes that many tiles give for one image to one box per object."""

from smallobj.merging.models import ModelMerger, build_model_merger
from smallobj.merging.nmm import NMMMerger
from smallobj.merging.nms import NMSMerger
from smallobj.merging.registry import MERGER_REGISTRY, build_merger
from smallobj.merging.soft_nms import SoftNMSMerger
from smallobj.merging.vote import SoftVoteMerger, VoteMerger
from smallobj.merging.wbf import WBFMerger

__all__ = [
    "MERGER_REGISTRY",
    "ModelMerger",
    "NMMMerger",
    "NMSMerger",
    "SoftNMSMerger",
    "SoftVoteMerger",
    "VoteMerger",
    "WBFMerger",
    "build_merger",
    "build_model_merger",
]
