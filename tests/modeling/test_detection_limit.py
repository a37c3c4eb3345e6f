"""Limits of detections: what they keep, and what they count."""

from types import SimpleNamespace

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.modeling.detection_limit import (
    CutCount,
    DetectionLimit,
    ProposalLimit,
    limit_and_count,
    limits_of,
)


def found(*scores):
    boxes = torch.arange(4.0 * len(scores)).reshape(-1, 4)
    return Instances((9, 9), pred_boxes=Boxes(boxes), scores=torch.tensor(scores))


def test_the_best_are_kept_and_the_others_counted():
    limit = DetectionLimit(2)
    assert limit(found(0.9, 0.8, 0.7, 0.1)).scores.tolist() == pytest.approx([0.9, 0.8])
    assert len(limit(found(0.9, 0.8))) == 2
    assert len(limit(found())) == 0
    limit(found(0.6, 0.5, 0.4))
    assert limit.take() == CutCount(2, 3, pytest.approx(0.7))
    assert limit.take() == CutCount(), "counted once"


def test_detections_below_the_lowest_score_are_cut_without_being_counted():
    limit = DetectionLimit(1, lowest_score=0.5)
    assert len(limit(found(0.9, 0.4, 0.3))) == 1
    assert limit.take() == CutCount()
    limit(found(0.9, 0.6, 0.3))
    assert limit.take() == CutCount(1, 1, pytest.approx(0.6))


@pytest.mark.parametrize(("objects", "crowded"), [(50, 0), (51, 1)])
def test_proposals_run_out_where_over_half_of_them_are_objects(objects, crowded):
    limit = ProposalLimit()
    limit.count(found(*[0.5] * objects, *[0.4] * 100), proposals=100)
    assert limit.take() == crowded
    assert limit.take() == 0


class Heads(nn.Module):
    """Finds three objects in each image, as Detectron2's heads do."""

    def __init__(self):
        super().__init__()
        self.box_predictor = SimpleNamespace(test_topk_per_image=2)

    def _forward_box(self, features, proposals):
        assert self.box_predictor.test_topk_per_image == -1, "no limit in Detectron2's code"
        return {"loss": 1.0} if self.training else [found(0.9, 0.8, 0.7) for _ in proposals]


@pytest.mark.parametrize(("most", "crowded"), [(4, 1), (5, 0)])
def test_roi_heads_are_limited_before_masks_are_made(most, crowded):
    model = nn.Module()
    model.roi_heads = Heads()
    model.proposal_generator = SimpleNamespace(post_nms_topk={False: most})
    limit_and_count(model)
    assert model.roi_heads._forward_box({}, []) == {"loss": 1.0}
    model.eval()
    (kept,) = model.roi_heads._forward_box({}, [found(1.0, 1.0, 1.0, 1.0)])
    assert len(kept) == 2
    ((module, limit),) = limits_of(model)
    assert module is model.roi_heads
    assert limit.take() == CutCount(1, 1, pytest.approx(0.7))
    # Three of four proposals are objects; with five allowed, there were proposals to spare.
    assert model.roi_heads.proposal_limit.take() == crowded
