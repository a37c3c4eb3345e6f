"""Iterative BBox: one head, applied repeatedly to its own boxes."""

import pytest
import torch
from detectron2.structures import Boxes, Instances

from smallobj.modeling import build_model

ITERATIONS = "MODEL.ROI_BOX_ITERATIVE_HEAD.ITERATIONS"
ROI_NAME = ("MODEL.ROI_HEADS.NAME", "IterativeBBoxROIHeads")


@pytest.fixture
def iterative(heads, bench):
    def make(*options):
        return bench.restless(heads(*options, name="IterativeBBoxROIHeads"))

    return make


def test_one_iteration_is_detectron2s_standard_head(heads, bench, iterative):
    bench.assert_alike(iterative(ITERATIONS, 1), heads(name="StandardROIHeads"))


def test_training_does_not_depend_on_the_iterations(bench, iterative):
    once, thrice = bench.train(iterative(ITERATIONS, 1)), bench.train(iterative(ITERATIONS, 3))
    for name in once:
        torch.testing.assert_close(once[name], thrice[name])


@pytest.mark.parametrize("rounds", [2, 3])
@torch.no_grad()
def test_more_iterations_are_the_standard_head_run_on_its_boxes(heads, bench, iterative, rounds):
    head, standard = iterative(ITERATIONS, rounds), heads(name="StandardROIHeads").eval()
    standard.load_state_dict(head.state_dict())
    features = bench.features()
    maps = [features[level] for level in standard.box_in_features]
    proposals = bench.proposals()
    for _ in range(rounds - 1):
        moved = []
        for image, given in enumerate(proposals):
            own = [level[image : image + 1] for level in maps]
            pooled = standard.box_pooler(own, [given.proposal_boxes])
            _, deltas = standard.box_predictor(standard.box_head(pooled))
            transform = standard.box_predictor.box2box_transform
            boxes = Boxes(transform.apply_deltas(deltas, given.proposal_boxes.tensor))
            boxes.clip(bench.size)
            moved.append(Instances(bench.size, proposal_boxes=boxes))
        proposals = moved
    expected, _ = standard(None, features, proposals)
    once, _ = standard(None, features, bench.proposals())
    for found, wanted, before in zip(bench.detect(head), expected, once, strict=True):
        assert len(found) == len(wanted) > 5
        torch.testing.assert_close(found.scores, wanted.scores, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            found.pred_boxes.tensor, wanted.pred_boxes.tensor, atol=1e-3, rtol=1e-4
        )
        assert len(found) != len(before) or not torch.allclose(found.scores, before.scores)


def test_without_proposals(bench, iterative):
    assert [len(found) for found in bench.detect(iterative(), count=0)] == [0, 0]


@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (0, 0)])
def test_full_half_empty_and_empty_batches(tiny_config, bench, counts):
    losses, _ = bench.run_batch(build_model(tiny_config(*ROI_NAME)), counts)
    assert len(losses) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([ITERATIONS, 0], "ITERATIONS.*at least 1; got 0"),
        (["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"], "CLS_AGNOSTIC_BBOX_REG.*False"),
    ],
)
def test_bad_values_are_refused(iterative, options, message):
    with pytest.raises(ValueError, match=message):
        iterative(*options)
