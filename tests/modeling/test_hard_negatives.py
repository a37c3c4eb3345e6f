"""Hard negatives against numbers worked by hand and a slow reference."""

import math

import pytest
import torch

from smallobj.modeling.hard_negatives import hard_negatives, mined_cross_entropy


def test_the_three_hardest_negatives_per_positive():
    loss = torch.tensor([[9.0, 0.1, 0.5, 0.4, 0.3, 0.6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    positive = torch.zeros(2, 6, dtype=torch.bool)
    positive[0, 0] = True
    chosen = hard_negatives(loss, positive, 3)
    # 0.6, 0.5, 0.4; the positive one, however high its loss, takes no place. None without objects.
    assert chosen.int().tolist() == [[0, 0, 1, 1, 0, 1], [0] * 6]


def test_the_minimum_gives_negatives_to_images_without_objects():
    loss = torch.tensor([[0.1, 0.4, 0.3, 0.2]])
    chosen = hard_negatives(loss, torch.zeros(1, 4, dtype=torch.bool), 3, minimum=2)
    assert chosen.int().tolist() == [[0, 1, 1, 0]]


def test_more_than_there_are_takes_all_background():
    positive = torch.tensor([[True, True, False, False]])
    assert hard_negatives(torch.rand(1, 4), positive, 3).int().tolist() == [[0, 0, 1, 1]]


def test_only_eligible_ones_are_chosen():
    loss = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5]])
    positive = torch.tensor([[False, False, False, False, True]])
    eligible = torch.tensor([[False, True, True, True, False]])
    assert hard_negatives(loss, positive, 2, eligible=eligible).int().tolist() == [[0, 1, 1, 0, 0]]


def slow_choice(loss, positive, ratio, minimum, eligible):
    chosen = []
    for losses, objects, allowed in zip(loss, positive, eligible, strict=True):
        wanted = max(math.ceil(ratio * sum(objects)), minimum)
        ranks = sorted(
            (-value, index)
            for index, value in enumerate(losses)
            if allowed[index] and not objects[index]
        )
        kept = {index for _, index in ranks[:wanted]}
        chosen.append([index in kept for index in range(len(losses))])
    return chosen


def test_it_agrees_with_a_slow_reference_with_ties():
    generator = torch.Generator().manual_seed(3)
    for ratio, minimum in [(3, 0), (1.5, 0), (3, 4), (0, 2)]:
        loss = torch.randint(0, 4, (6, 30), generator=generator) / 4
        positive = torch.rand(6, 30, generator=generator) < 0.1
        eligible = torch.rand(6, 30, generator=generator) < 0.7
        chosen = hard_negatives(loss, positive, ratio, minimum=minimum, eligible=eligible)
        expected = slow_choice(loss.tolist(), positive.tolist(), ratio, minimum, eligible.tolist())
        assert chosen.tolist() == expected


def test_the_mined_loss_by_hand():
    # Probability 1/2, 1/4 and 1/4 of classes 0, 1 and background.
    logits = torch.tensor([2.0, 1.0, 1.0]).log().expand(1, 6, 3)
    classes = torch.tensor([[0, 2, 2, 2, 2, 2]])
    half, quarter = math.log(2), math.log(4)
    loss, count = mined_cross_entropy(logits, classes, classes < 2, 3.0)
    assert loss.item() == pytest.approx(half + 3 * quarter)
    assert count == 1
    # All five are wanted, the share of 5/3 objects.
    loss, count = mined_cross_entropy(logits, classes, classes < 2, 3.0, minimum=5)
    assert count.item() == pytest.approx(5 / 3)
    assert loss.item() == pytest.approx((half + 5 * quarter) * 3 / 5)
    # Nothing to learn from.
    nothing = torch.zeros(1, 6, dtype=torch.bool)
    loss, count = mined_cross_entropy(logits, classes, nothing, 3.0)
    assert (loss, count) == (0, 1)
