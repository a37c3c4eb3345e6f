"""Box arithmetic, against numbers that can be checked by hand."""

import math

import pytest
import torch
from detectron2.structures import BoxMode

from smallobj.boxes import annotation_boxes, enlarge, wasserstein_similarity


def test_wasserstein_similarity_by_hand():
    first = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    second = torch.tensor([[3.0, 4, 13, 14], [0, 0, 16, 18], [100, 0, 110, 10]])
    # Centres 5 apart; centres (3, 4) apart and half sides (3, 4) apart; centres 100 apart.
    expected = [math.exp(-5 / 12.8), math.exp(-math.sqrt(50) / 12.8), math.exp(-100 / 12.8)]
    torch.testing.assert_close(
        wasserstein_similarity(first, second, 12.8), torch.tensor(expected), atol=1e-5, rtol=1e-4
    )


def test_wasserstein_similarity_is_one_for_equal_boxes_and_has_a_slope_there():
    boxes = torch.tensor([[5.0, 6, 17, 20]], requires_grad=True)
    similarity = wasserstein_similarity(boxes, boxes.detach(), 12.8)
    assert similarity.item() == pytest.approx(1, abs=1e-4)
    similarity.sum().backward()
    assert torch.isfinite(boxes.grad).all()


def test_wasserstein_similarity_is_symmetric_and_blind_to_position():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 4, generator=generator) * 100
    a = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], dim=1)
    b = a.roll(1, dims=0)
    there = wasserstein_similarity(a, b, 20)
    torch.testing.assert_close(there, wasserstein_similarity(b, a, 20))
    torch.testing.assert_close(there, wasserstein_similarity(a + 64, b + 64, 20), atol=1e-4, rtol=0)


def test_no_boxes():
    empty = torch.zeros(0, 4)
    assert wasserstein_similarity(empty, empty, 12.8).shape == (0,)
    assert enlarge(empty, 2).shape == (0, 4)


def test_enlarge_by_hand():
    boxes = torch.tensor([[10.0, 20, 14, 30]])
    assert enlarge(boxes, 2).tolist() == [[8, 15, 16, 35]]
    assert enlarge(boxes, 1).tolist() == boxes.tolist()


def test_annotations_of_mixed_modes_become_corners():
    mixed = [
        {"bbox": [1.0, 2.0, 3.0, 4.0], "bbox_mode": BoxMode.XYWH_ABS},
        {"bbox": (1.0, 2.0, 3.0, 4.0), "bbox_mode": BoxMode.XYXY_ABS},
    ]
    assert annotation_boxes(mixed).tolist() == [[1, 2, 4, 6], [1, 2, 3, 4]]
    assert mixed[0]["bbox"] == [1.0, 2.0, 3.0, 4.0]
    assert annotation_boxes([]).shape == (0, 4)
