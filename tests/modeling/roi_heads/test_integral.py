"""Integral loss: classifiers for several IoU thresholds on the same proposals."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.nn import functional as F

from smallobj.modeling import build_model
from smallobj.modeling.class_losses import CrossEntropyLoss, SeesawLoss
from smallobj.modeling.roi_heads.integral import IntegralOutputLayers

IOUS = "MODEL.ROI_BOX_INTEGRAL_HEAD.IOUS"
ROI_NAME = ("MODEL.ROI_HEADS.NAME", "IntegralLossROIHeads")


@pytest.fixture
def integral(heads, bench):
    def make(*options):
        return bench.restless(heads(*options, name="IntegralLossROIHeads"))

    return make


def test_one_threshold_is_detectron2s_standard_head(heads, bench, integral):
    bench.assert_alike(integral(IOUS, "(0.5,)"), heads(name="StandardROIHeads"))


def test_by_default_there_are_the_papers_six(integral, bench):
    losses = bench.train(integral())
    further = {f"loss_cls_iou{u}" for u in (55, 60, 65, 70, 75)}
    assert losses.keys() == {"loss_cls", "loss_box_reg"} | further


def layers(ious, loss=CrossEntropyLoss, **kwargs):
    return IntegralOutputLayers(
        ShapeSpec(channels=2),
        box2box_transform=Box2BoxTransform((1.0, 1.0, 1.0, 1.0)),
        num_classes=2,
        cls_agnostic_bbox_reg=True,
        class_loss=loss(num_classes=2, p=0.8, q=2.0) if loss is SeesawLoss else loss(),
        nwd_constant=12.8,
        ious=ious,
        **kwargs,
    )


def sampled():
    """Two images: one whose regions have IoU 1, 0.6 and 0 with their objects; one of background."""
    objects = Instances((100, 100))
    objects.proposal_boxes = Boxes(
        torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [50, 50, 60, 60]])
    )
    objects.gt_boxes = Boxes(torch.tensor([[0.0, 0, 10, 10]] * 3))
    objects.gt_classes = torch.tensor([1, 0, 2])
    nothing = Instances((100, 100))
    nothing.proposal_boxes = Boxes(torch.tensor([[0.0, 0, 10, 10]]))
    nothing.gt_classes = torch.tensor([2])
    return [objects, nothing]


def test_labels_at_each_threshold_by_hand():
    made = layers((0.5, 0.6, 0.75))
    logits = torch.zeros(3, 4, 3)
    # Certain of class 0 in the second region alone, at all thresholds; e^2 against 1 and 1.
    logits[:, 1, 0] = 2.0
    with EventStorage():
        losses = made.losses((logits, torch.zeros(4, 4)), sampled())
    unsure = math.log(3)
    right, wrong = -math.log(math.e**2 / (math.e**2 + 2)), math.log(math.e**2 + 2)
    assert losses["loss_cls"].item() == pytest.approx((3 * unsure + right) / 4, rel=1e-5)
    # An IoU of 0.6 is enough at 0.6, as in Detectron2's matcher.
    assert losses["loss_cls_iou60"].item() == pytest.approx((3 * unsure + right) / 4, rel=1e-5)
    assert losses["loss_cls_iou75"].item() == pytest.approx((3 * unsure + wrong) / 4, rel=1e-5)


def test_averaged_losses_weigh_as_much_as_one_loss():
    deltas = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    logits = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(1))
    with EventStorage():
        summed = layers((0.5, 0.6, 0.75)).losses((logits, deltas), sampled())
        made = layers((0.5, 0.6, 0.75), loss_reduction="mean")
        averaged = made.losses((logits, deltas), sampled())
    assert averaged.pop("loss_box_reg").item() == summed.pop("loss_box_reg").item()
    assert len(summed) == 3
    for name, loss in summed.items():
        assert averaged[name].item() == pytest.approx(loss.item() / 3)


def test_the_one_regressor_learns_from_the_lowest_threshold():
    deltas = torch.zeros(4, 4)
    with EventStorage():
        few = layers((0.5,)).losses((torch.zeros(1, 4, 3), deltas), sampled())
        many = layers((0.5, 0.75)).losses((torch.zeros(2, 4, 3), deltas), sampled())
    # The second region: dy = 2 / 6 and dh = log(10 / 6) are missing, over 4 regions.
    expected = (2 / 6 + math.log(10 / 6)) / 4
    assert few["loss_box_reg"].item() == pytest.approx(expected, rel=1e-5)
    assert many["loss_box_reg"].item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_scores_are_the_mean_of_all_classifiers():
    torch.manual_seed(0)
    made = layers((0.5, 0.6, 0.75))
    x = torch.randn(4, 2)
    for layer in (made.cls_score, *made.further_scores):
        layer.weight.normal_()
    expected = [F.linear(x, made.cls_score.weight, made.cls_score.bias)]
    expected += [F.linear(x, layer.weight, layer.bias) for layer in made.further_scores]
    mean = sum(logits.softmax(dim=1) for logits in expected) / 3
    first, second = made.predict_probs(made(x), sampled())
    torch.testing.assert_close(torch.cat([first, second]), mean)
    assert (len(first), len(second)) == (3, 1)


def test_each_threshold_has_its_own_loss_state():
    made = layers((0.5, 0.75), SeesawLoss)
    with EventStorage():
        made.losses((torch.zeros(2, 4, 3), torch.zeros(4, 4)), sampled())
    assert made.class_loss.class_counts.tolist() == [1, 1]
    assert made.further_losses[0].class_counts.tolist() == [0, 1]


def test_classifiers_start_from_different_weights(heads):
    predictor = heads(name="IntegralLossROIHeads").box_predictor
    weights = [predictor.cls_score.weight, *(s.weight for s in predictor.further_scores)]
    assert len(weights) == 6
    assert len({weight[0, 0].item() for weight in weights}) == 6
    assert all(0.005 < weight.std() < 0.02 for weight in weights)


def test_without_proposals(bench, integral):
    assert [len(found) for found in bench.detect(integral(), count=0)] == [0, 0]


@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (0, 0)])
def test_full_half_empty_and_empty_batches(tiny_config, bench, counts):
    losses, _ = bench.run_batch(build_model(tiny_config(*ROI_NAME)), counts)
    assert len(losses) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([IOUS, "(0.5, 0.5)"], r"INTEGRAL_HEAD.IOUS.*each higher.*\[0.5, 0.5\]"),
        ([IOUS, "(0.5, 1.0)"], r"INTEGRAL_HEAD.IOUS.*between 0 and 1.*1.0"),
        ([IOUS, "(0.6, 0.7)"], r"IOU_THRESHOLDS must be \[0.6\]; got \[0.5\]"),
        ([IOUS, "()"], r"INTEGRAL_HEAD.IOUS.*got \[\]"),
        (["MODEL.ROI_BOX_INTEGRAL_HEAD.LOSS_REDUCTION", "max"], r"'sum', 'mean'\]; got 'max'"),
    ],
)
def test_bad_values_are_refused(integral, options, message):
    with pytest.raises(ValueError, match=message):
        integral(*options)
