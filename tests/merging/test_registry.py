"""Mergers by name."""

import pytest

from smallobj import get_cfg
from smallobj.merging import MERGER_REGISTRY, NMSMerger, build_merger
from smallobj.merging.overlap import OverlapMerger


@pytest.fixture
def cfg():
    return get_cfg()


@pytest.fixture
def register():
    """Registers mergers for the time of a test."""
    before = dict(MERGER_REGISTRY)
    yield MERGER_REGISTRY.register
    for name in set(dict(MERGER_REGISTRY)) - set(before):
        del MERGER_REGISTRY._obj_map[name]


def test_by_the_name_of_each_node(cfg):
    cfg.TEST.MERGER.NAME, cfg.TEST.TTA.MERGER.NAME = "wbf", "nms"
    assert not isinstance(build_merger(cfg), NMSMerger)
    assert isinstance(build_merger(cfg, "TEST.TTA.MERGER"), NMSMerger)


def test_a_function_as_a_merger_of_ones_own(cfg, register, make_instances):
    @register(name="confident")
    def confident(node, **told):
        assert told == {"key": "TEST.TTA.MERGER", "nwd_constant": cfg.MODEL.NWD_CONSTANT}
        return lambda found: found[found.scores >= node.SCORE_THRESH]

    node = cfg.TEST.TTA.MERGER
    node.NAME, node.SCORE_THRESH = "confident", 0.5
    merged = build_merger(cfg, "TEST.TTA.MERGER")(
        make_instances([[0, 0, 9, 9]] * 2, [0.6, 0.4], [0] * 2)
    )
    assert merged.number.tolist() == [0]


def test_a_class_as_a_merger_of_ones_own(cfg, register, make_instances):
    @register()
    class Strictest(OverlapMerger):
        def merge(self, ranked):
            return ranked[: self.overlap_threshold > 0.5]

    cfg.TEST.MERGER.NAME, cfg.TEST.MERGER.OVERLAP_THRESH = "Strictest", 0.7
    merged = build_merger(cfg)(make_instances([[0, 0, 9, 9]] * 2, [0.4, 0.6], [0] * 2))
    assert merged.number.tolist() == [1]


def test_an_unknown_name_is_told(cfg):
    cfg.TEST.MERGER.NAME = "average"
    with pytest.raises(
        ValueError, match=r"TEST.MERGER.NAME must be .*\['nmm', 'nms', .*got 'average'"
    ):
        build_merger(cfg)


def test_a_class_that_is_named_instead_is_told_its_short_name(cfg):
    cfg.TEST.TTA.MERGER.NAME = "SoftVoteMerger"
    with pytest.raises(ValueError, match=r"^TEST.TTA.MERGER.NAME.*'soft_vote'; got 'SoftVote"):
        build_merger(cfg, "TEST.TTA.MERGER")
