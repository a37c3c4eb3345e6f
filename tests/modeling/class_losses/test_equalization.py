"""Equalization loss, with sigmoid and with softmax, against numbers that can be checked by hand."""

import math

import pytest
import torch

from smallobj.modeling.class_losses import SigmoidEqualizationLoss, SoftmaxEqualizationLoss

# Classes 1 and 2 are rare at a threshold of 0.01; what is just at it is not.
FREQUENCIES = [0.5, 0.009, 0.0, 0.01]
BACKGROUND = 4


def sigmoid(frequencies=FREQUENCIES, rare_below=0.01):
    return SigmoidEqualizationLoss(num_classes=4, frequencies=frequencies, rare_below=rare_below)


def softmax(gamma=1.0, frequencies=FREQUENCIES):
    return SoftmaxEqualizationLoss(
        num_classes=4, frequencies=frequencies, rare_below=0.01, spare_probability=gamma
    )


@pytest.mark.parametrize("make", [sigmoid, softmax])
def test_only_rare_classes_are_spared_and_only_by_other_objects(make):
    spared = make().spared(torch.tensor([0, 1, 3, BACKGROUND]))
    expected = [[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert spared.int().tolist() == expected


def test_sigmoid_loss_by_hand():
    # Scores 1/2, 1/3, 1/4 and 1/5 in each region; the last logit must not count.
    logits = torch.tensor([[0.0, -math.log(2), -math.log(3), -math.log(4), 9.0]] * 3)
    loss = sigmoid()(logits, torch.tensor([0, 1, BACKGROUND]))
    log = math.log
    first = -log(1 / 2) - log(4 / 5)  # classes 1 and 2 are spared
    second = -log(1 / 2) - log(1 / 3) - log(4 / 5)  # class 1 is the true one, 2 is spared
    third = -log(1 / 2) - log(2 / 3) - log(3 / 4) - log(4 / 5)
    assert loss.item() == pytest.approx((first + second + third) / 3, rel=1e-5)


def test_sigmoid_scores_by_hand():
    logits = torch.tensor([[0.0, -math.log(2), -math.log(3), -math.log(4), 9.0]])
    none = 1 / 2 * 2 / 3 * 3 / 4 * 4 / 5
    expected = torch.tensor([[1 / 2, 1 / 3, 1 / 4, 1 / 5, none]])
    torch.testing.assert_close(sigmoid().probabilities(logits), expected)


def test_softmax_loss_by_hand():
    logits = torch.log(torch.tensor([[1.0, 2, 3, 4, 5]] * 3))
    loss = softmax()(logits, torch.tensor([0, 1, BACKGROUND]))
    first = math.log((1 + 4 + 5) / 1)  # classes 1 and 2 are left out of the sum
    second = math.log((1 + 2 + 4 + 5) / 2)
    third = math.log(15 / 5)
    assert loss.item() == pytest.approx((first + second + third) / 3, rel=1e-5)


def test_softmax_spares_with_a_probability():
    torch.manual_seed(0)
    count = 4000
    logits = torch.zeros(count, 5, requires_grad=True)
    softmax(gamma=0.75)(logits, torch.zeros(count, dtype=torch.int64)).backward()
    pushed = (logits.grad > 0).float().mean(dim=0)
    assert pushed[1:3].tolist() == pytest.approx([0.25, 0.25], abs=0.03)
    assert pushed[3:].tolist() == [1, 1]


@pytest.mark.parametrize("make", [sigmoid, softmax])
def test_spared_logits_have_no_gradient(make):
    logits = torch.zeros(1, 5, requires_grad=True)
    make()(logits, torch.tensor([0])).backward()
    assert logits.grad[0, 1:3].tolist() == [0, 0]
    assert logits.grad[0, 3] > 0


@pytest.mark.parametrize("make", [sigmoid, softmax])
def test_without_frequencies_it_scores_but_does_not_train(make):
    loss = make(frequencies=[])
    assert loss.probabilities(torch.zeros(2, 5)).shape == (2, 5)
    with pytest.raises(ValueError, match=r"CLASS_FREQUENCIES, and it is empty.*DATASETS.TRAIN"):
        loss(torch.zeros(2, 5), torch.tensor([0, 1]))


def test_a_checkpoint_does_not_carry_what_the_config_says():
    assert not sigmoid().state_dict()
