"""Softmax focal loss, against numbers that can be checked by hand."""

import math

import pytest
import torch

from smallobj.modeling.class_losses import SoftmaxFocalLoss


def test_by_hand():
    # Softmax probabilities 1/2, 1/4, 1/4 and 1/8, 1/8, 3/4.
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]))
    loss = SoftmaxFocalLoss(gamma=2.0)(logits, torch.tensor([1, 2]))
    expected = (0.75**2 * -math.log(0.25) + 0.25**2 * -math.log(0.75)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_gradient_is_finite_at_certainty(gamma):
    logits = torch.tensor([[60.0, 0, 0], [0, 60.0, 0]], requires_grad=True)
    SoftmaxFocalLoss(gamma=gamma)(logits, torch.tensor([0, 0])).backward()
    assert torch.isfinite(logits.grad).all()
