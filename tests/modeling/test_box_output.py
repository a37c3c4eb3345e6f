"""Losses of the box predictor, against numbers that can be checked by hand."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.nn import functional as F

from smallobj.modeling.roi_heads.box_output import SmallObjectOutputLayers, softmax_focal_loss

CLASSES = 3


def make(**changes):
    arguments = {
        "box2box_transform": Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        "num_classes": CLASSES,
        "cls_agnostic_bbox_reg": True,
        "cls_loss": "cross_entropy",
        "focal_gamma": 2.0,
        "nwd_constant": 12.8,
    }
    return SmallObjectOutputLayers(ShapeSpec(channels=8), **{**arguments, **changes})


def test_focal_loss_by_hand():
    # Softmax probabilities 1/2, 1/4, 1/4 and 1/8, 1/8, 3/4.
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]))
    loss = softmax_focal_loss(logits, torch.tensor([1, 2]), gamma=2.0)
    expected = (0.75**2 * -math.log(0.25) + 0.25**2 * -math.log(0.75)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_without_focus_is_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator) * 5
    classes = torch.randint(4, (50,), generator=generator)
    torch.testing.assert_close(
        softmax_focal_loss(logits, classes, 0.0), F.cross_entropy(logits, classes)
    )


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_has_a_finite_slope_at_certainty(gamma):
    logits = torch.tensor([[60.0, 0, 0], [0, 60.0, 0]], requires_grad=True)
    softmax_focal_loss(logits, torch.tensor([0, 0]), gamma).backward()
    assert torch.isfinite(logits.grad).all()


def test_focal_loss_of_nothing():
    logits = torch.zeros(0, 4, requires_grad=True)
    loss = softmax_focal_loss(logits, torch.zeros(0, dtype=torch.long), 2.0)
    loss.backward()
    assert loss.item() == 0


def proposals(boxes, truth, classes):
    found = Instances((100, 100))
    found.proposal_boxes = Boxes(torch.tensor(boxes))
    found.gt_boxes = Boxes(torch.tensor(truth))
    found.gt_classes = torch.tensor(classes)
    return [found]


BOXES = [[10.0, 10, 20, 20], [40, 40, 50, 50], [70, 70, 80, 80]]
# 5 px away, 3 in x and 4 in y; equal; background, whose box must not count.
TRUTH = [[13.0, 14, 23, 24], [40, 40, 50, 50], [0, 0, 99, 99]]


@pytest.mark.parametrize("agnostic", [True, False])
def test_nwd_loss_by_hand(agnostic):
    layers = make(box_reg_loss_type="nwd", cls_agnostic_bbox_reg=agnostic)
    deltas = torch.zeros(3, 4 if agnostic else 4 * CLASSES)
    if not agnostic:
        deltas[0, :4] = deltas[1, 8:] = 50.0  # other classes' regressors
    with EventStorage():
        losses = layers.losses(
            (torch.zeros(3, CLASSES + 1), deltas), proposals(BOXES, TRUTH, [1, 0, CLASSES])
        )
    expected = (1 - math.exp(-5 / 12.8) + 0) / 3
    assert losses["loss_box_reg"].item() == pytest.approx(expected, abs=1e-4)
    assert losses["loss_cls"].item() == pytest.approx(math.log(4), rel=1e-5)


def test_nwd_loss_pulls_boxes_that_do_not_meet():
    layers = make(box_reg_loss_type="nwd")
    deltas = torch.zeros(1, 4, requires_grad=True)
    with EventStorage():
        losses = layers.losses(
            (torch.zeros(1, CLASSES + 1), deltas),
            proposals([[10.0, 10, 20, 20]], [[30.0, 10, 40, 20]], [0]),
        )
    losses["loss_box_reg"].backward()
    assert deltas.grad[0, 0] < 0  # growing dx lowers the loss
    assert deltas.grad[0, 1].abs() < 1e-6


@pytest.mark.parametrize("loss_type", ["smooth_l1", "giou", "nwd"])
@pytest.mark.parametrize("cls_loss", ["cross_entropy", "focal"])
def test_without_foreground_and_without_regions(loss_type, cls_loss):
    layers = make(box_reg_loss_type=loss_type, cls_loss=cls_loss)
    nothing = proposals(BOXES, TRUTH, [CLASSES] * 3)
    for count in (3, 0):
        features = torch.zeros(count, 8)
        with EventStorage():
            losses = layers.losses(layers(features), [nothing[0][:count]])
        assert losses["loss_box_reg"].item() == 0
        total = sum(losses.values())
        assert torch.isfinite(total)
        total.backward()


def test_class_loss_is_chosen_and_weighted():
    generator = torch.Generator().manual_seed(1)
    logits, deltas = torch.randn(3, CLASSES + 1, generator=generator), torch.zeros(3, 4)
    classes = [1, 0, CLASSES]
    with EventStorage():
        plain = make().losses((logits, deltas), proposals(BOXES, TRUTH, classes))
        focal = make(cls_loss="focal", loss_weight={"loss_cls": 3.0}).losses(
            (logits, deltas), proposals(BOXES, TRUTH, classes)
        )
    truth = torch.tensor(classes)
    assert plain["loss_cls"].item() == pytest.approx(F.cross_entropy(logits, truth).item())
    expected = 3 * softmax_focal_loss(logits, truth, 2.0)
    assert focal["loss_cls"].item() == pytest.approx(expected.item())
    torch.testing.assert_close(focal["loss_box_reg"], plain["loss_box_reg"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cls_loss": "hinge"}, "CLS_LOSS.*hinge"),
        ({"focal_gamma": -1.0}, "FOCAL_GAMMA.*-1.0"),
        ({"nwd_constant": 0.0}, "NWD_CONSTANT.*0.0"),
    ],
)
def test_bad_values_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        make(**changes)
