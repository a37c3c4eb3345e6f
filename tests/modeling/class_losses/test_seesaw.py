"""Seesaw loss, against numbers that can be checked by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from smallobj.modeling.class_losses import SeesawLoss

BACKGROUND = 3


def make(p=0.8, q=2.0, counts=(0, 0, 0)):
    loss = SeesawLoss(num_classes=3, p=p, q=q)
    loss.class_counts += torch.tensor(counts)
    return loss


def test_mitigation_by_hand():
    # 16 regions of class 0, 1 of class 1, none of class 2, which counts as one.
    loss = make(p=0.5, q=0.0, counts=(16, 1, 0))
    factors = loss.balance(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    # The frequent class suppresses rarer ones by (1 / 16)^0.5; rare ones suppress it in full.
    expected = torch.tensor([[1, 0.25, 0.25], [1, 1, 1], [1, 1, 1]])
    torch.testing.assert_close(factors, expected)


def test_compensation_by_hand():
    loss = make(p=0.0, q=2.0)
    # Probabilities 1/8, 2/8, 5/8 with classes 0, 1, 2 as the true one.
    logits = torch.log(torch.tensor([[1.0, 2, 5]] * 3))
    factors = loss.balance(logits, torch.tensor([0, 1, 2]))
    expected = torch.tensor([[1, 4, 25], [1, 1, 2.5**2], [1, 1, 1]])
    torch.testing.assert_close(factors, expected)


def test_the_true_score_has_a_lower_bound_of_a_hundredth():
    logits = torch.tensor([[0.0, 100, 0]])
    factors = make(p=0.0, q=2.0).balance(logits, torch.tensor([0]))
    torch.testing.assert_close(factors, torch.tensor([[1, 100.0**2, 1]]))


def test_loss_by_hand():
    loss = make(p=1.0, q=1.0, counts=(7, 2, 0))
    # Class 0 with odds of 1 : 2 : 1 against the others; objectness 1/4. And background, 3/4.
    logits = torch.tensor([[0.0, math.log(2), 0, math.log(3)], [5, -5, 1, math.log(3)]])
    value = loss(logits, torch.tensor([0, BACKGROUND]))
    # The region itself is counted first: 8, 2, and 0 that counts as 1. Mitigation 2/8 and 1/8,
    # compensation 2 and 1: odds of 1 : 2 x 1/2 : 1 x 1/8.
    classes = math.log(1 + 1 + 1 / 8)
    objectness = -math.log(1 / 4) - math.log(3 / 4)
    assert value.item() == pytest.approx((classes + objectness) / 2, rel=1e-5)
    assert loss.class_counts.tolist() == [8, 2, 0]


def test_scores_by_hand():
    logits = torch.tensor([[0.0, math.log(2), 0, math.log(3)]])
    expected = torch.tensor([[1 / 16, 2 / 16, 1 / 16, 3 / 4]])
    torch.testing.assert_close(make().probabilities(logits), expected)


def test_without_factors_it_is_cross_entropy_of_its_scores():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 4, generator=generator) * 2
    classes = torch.randint(4, (40,), generator=generator)
    loss = make(p=0.0, q=0.0)
    expected = F.nll_loss(loss.probabilities(logits).log(), classes)
    torch.testing.assert_close(loss(logits, classes), expected)


def test_factors_have_no_gradient():
    logits = torch.tensor([[0.0, 1, 2, 0]], requires_grad=True)
    loss = make(p=0.8, q=2.0, counts=(10, 3, 1))
    loss(logits, torch.tensor([0])).backward()
    factors = loss.balance(logits.detach()[:, :3], torch.tensor([0]))
    odds = factors * logits.detach()[:, :3].exp()
    share = odds / odds.sum()
    torch.testing.assert_close(logits.grad[0, :3], share[0] - torch.tensor([1.0, 0, 0]))


def test_counts_are_in_checkpoints_and_exceed_the_range_of_float32():
    loss = make(counts=(2**24, 0, 0))
    loss(torch.zeros(1, 4), torch.tensor([0]))
    again = make()
    again.load_state_dict(loss.state_dict())
    assert again.class_counts.tolist() == [2**24 + 1, 0, 0]


def test_counts_are_summed_over_processes(monkeypatch):
    def all_reduce(counts):
        counts += torch.tensor([5, 0, 1])  # another process's

    monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", all_reduce)
    loss = make()
    loss(torch.zeros(2, 4), torch.tensor([1, BACKGROUND]))
    assert loss.class_counts.tolist() == [5, 1, 1]
    # A process without regions must take part too; otherwise the others would wait.
    loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert loss.class_counts.tolist() == [10, 1, 2]
