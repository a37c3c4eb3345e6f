"""Mergers by name."""

import pytest

from smallobj import get_cfg
from smallobj.merging import MERGER_REGISTRY, NMSMerger, build_merger


def test_by_short_name_and_by_class():
    cfg = get_cfg()
    for name in ("nms", "NMSMerger"):
        cfg.TEST.MERGER.NAME = name
        assert isinstance(build_merger(cfg), NMSMerger)


def test_a_merger_of_ones_own():
    @MERGER_REGISTRY.register()
    class KeepAll:
        def __init__(self, cfg):
            pass

        def __call__(self, found):
            return found

    try:
        cfg = get_cfg()
        cfg.TEST.MERGER.NAME = "KeepAll"
        assert isinstance(build_merger(cfg), KeepAll)
    finally:
        del MERGER_REGISTRY._obj_map["KeepAll"]


def test_an_unknown_name_is_told():
    cfg = get_cfg()
    cfg.TEST.MERGER.NAME = "average"
    with pytest.raises(ValueError, match=r"one of \['nmm', 'nms', .*got 'average'"):
        build_merger(cfg)
