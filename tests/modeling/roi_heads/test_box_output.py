"""Losses of the box predictor, against numbers that can be checked by hand."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.nn import functional as F

from smallobj.modeling.class_losses import (
    CrossEntropyLoss,
    SeesawLoss,
    SigmoidEqualizationLoss,
    SoftmaxFocalLoss,
)
from smallobj.modeling.roi_heads.box_output import BOX_LOSSES, SmallObjectOutputLayers

CLASSES = 3


def make(**changes):
    arguments = {
        "box2box_transform": Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        "num_classes": CLASSES,
        "cls_agnostic_bbox_reg": True,
        "class_loss": CrossEntropyLoss(),
        "nwd_constant": 12.8,
    }
    return SmallObjectOutputLayers(ShapeSpec(channels=8), **{**arguments, **changes})


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


# The first pair shares 7 x 6 of 10 x 10 each, within 13 x 14; the second pair's truth is twice as
# wide as its box, which it holds.
IOU = (42 / 158, 1 / 2)
ASPECT = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
BY_HAND = {
    "smooth_l1": (0.3 + 0.4) * 10 + 0.5 * 10 + math.log(2) * 5,
    "giou": (1 - IOU[0] + (182 - 158) / 182) + (1 - IOU[1]),
    "diou": (1 - IOU[0] + 25 / (13**2 + 14**2)) + (1 - IOU[1] + 25 / (20**2 + 10**2)),
}
BY_HAND["ciou"] = BY_HAND["diou"] + ASPECT**2 / (1 - IOU[1] + ASPECT)
# The second: 5 px between centres and half the difference of widths, 10 px.
BY_HAND["nwd"] = (1 - math.exp(-5 / 12.8)) + (1 - math.exp(-math.sqrt(5**2 + 5**2) / 12.8))


@pytest.mark.parametrize("loss_type", BOX_LOSSES)
def test_box_losses_by_hand(loss_type):
    truth = [[13.0, 14, 23, 24], [40, 40, 60, 50], [0, 0, 99, 99]]
    with EventStorage():
        losses = make(box_reg_loss_type=loss_type).losses(
            (torch.zeros(3, CLASSES + 1), torch.zeros(3, 4)),
            proposals(BOXES, truth, [1, 0, CLASSES]),
        )
    assert losses["loss_box_reg"].item() == pytest.approx(BY_HAND[loss_type] / 3, rel=1e-4)


@pytest.mark.parametrize("loss_type", ["giou", "diou", "ciou", "nwd"])
def test_box_losses_pull_boxes_that_do_not_meet(loss_type):
    layers = make(box_reg_loss_type=loss_type)
    deltas = torch.zeros(1, 4, requires_grad=True)
    with EventStorage():
        losses = layers.losses(
            (torch.zeros(1, CLASSES + 1), deltas),
            proposals([[10.0, 10, 20, 20]], [[30.0, 10, 40, 20]], [0]),
        )
    losses["loss_box_reg"].backward()
    assert deltas.grad[0, 0] < 0  # growing dx lowers the loss
    assert deltas.grad[0, 1].abs() < 1e-6


@pytest.mark.parametrize("loss_type", BOX_LOSSES)
def test_without_foreground_and_without_regions(loss_type):
    layers = make(box_reg_loss_type=loss_type)
    nothing = proposals(BOXES, TRUTH, [CLASSES] * 3)
    for count in (3, 0):
        features = torch.zeros(count, 8)
        with EventStorage():
            losses = layers.losses(layers(features), [nothing[0][:count]])
        assert losses["loss_box_reg"].item() == 0
        total = sum(losses.values())
        assert torch.isfinite(total)
        total.backward()


def test_class_loss_is_weighted_and_leaves_the_box_loss_alone():
    generator = torch.Generator().manual_seed(1)
    logits, deltas = torch.randn(3, CLASSES + 1, generator=generator), torch.zeros(3, 4)
    classes = [1, 0, CLASSES]
    with EventStorage():
        plain = make().losses((logits, deltas), proposals(BOXES, TRUTH, classes))
        focal = make(class_loss=SoftmaxFocalLoss(gamma=2.0), loss_weight={"loss_cls": 3.0}).losses(
            (logits, deltas), proposals(BOXES, TRUTH, classes)
        )
    truth = torch.tensor(classes)
    assert plain["loss_cls"].item() == pytest.approx(F.cross_entropy(logits, truth).item())
    expected = 3 * SoftmaxFocalLoss(gamma=2.0)(logits, truth)
    assert focal["loss_cls"].item() == pytest.approx(expected.item())
    torch.testing.assert_close(focal["loss_box_reg"], plain["loss_box_reg"])


def test_it_is_detectron2s_with_cross_entropy():
    generator = torch.Generator().manual_seed(1)
    predictions = torch.randn(3, CLASSES + 1, generator=generator), torch.zeros(3, 4)
    given = proposals(BOXES, TRUTH, [1, 0, CLASSES])
    theirs = FastRCNNOutputLayers(
        ShapeSpec(channels=8),
        box2box_transform=Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        num_classes=CLASSES,
        cls_agnostic_bbox_reg=True,
    )
    with EventStorage() as ours_wrote:
        ours = make().losses(predictions, given)
    with EventStorage() as theirs_wrote:
        expected = theirs.losses(predictions, given)
    torch.testing.assert_close(ours, expected)
    assert ours_wrote.latest() == theirs_wrote.latest()
    assert "fast_rcnn/cls_accuracy" in ours_wrote.latest()
    torch.testing.assert_close(
        make().predict_probs(predictions, given), theirs.predict_probs(predictions, given)
    )


def test_the_logged_accuracy_is_that_of_scores_and_not_of_logits():
    # Objectness of 0.88 and class 1; the last logit, background's, is not the lowest of all.
    logits = torch.tensor([[-5.0, -3, -5, -2], [-5, -5, -5, 3], [-5, -5, -5, 3]])
    with EventStorage() as storage:
        make(class_loss=SeesawLoss(num_classes=CLASSES, p=0.8, q=2.0)).losses(
            (logits, torch.zeros(3, 4)), proposals(BOXES, TRUTH, [1, CLASSES, CLASSES])
        )
    assert storage.latest()["fast_rcnn/cls_accuracy"][0] == 1
    assert storage.latest()["fast_rcnn/fg_cls_accuracy"][0] == 1


def test_scores_of_independent_classes_start_low():
    rare = SigmoidEqualizationLoss(num_classes=CLASSES, frequencies=[], rare_below=0.0)
    given = proposals(BOXES, TRUTH, [CLASSES] * 3)
    layers = make(class_loss=rare)
    (scores,) = layers.predict_probs(layers(torch.zeros(3, 8)), given)
    torch.testing.assert_close(scores[:, :3], torch.full((3, 3), 0.01))
    assert make().cls_score.bias.abs().sum() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"box_reg_loss_type": "iou"}, "BBOX_REG_LOSS_TYPE.*iou"),
        ({"nwd_constant": 0.0}, "NWD_CONSTANT.*0.0"),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_detectron2s_own_switch_of_the_loss_is_refused(monkeypatch):
    # A key of upstream's Detectron2 alone, which sets this attribute by it.
    original = FastRCNNOutputLayers.__init__

    def switched_on(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.use_sigmoid_ce = True

    monkeypatch.setattr(FastRCNNOutputLayers, "__init__", switched_on)
    with pytest.raises(ValueError, match=r"USE_SIGMOID_CE.*CLS_LOSS"):
        make()
