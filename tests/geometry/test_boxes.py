"""Box arithmetic, against numbers that can be checked by hand."""

import math

import pytest
import torch
from detectron2.structures import BoxMode

from smallobj.geometry.boxes import (
    annotation_boxes,
    connected_components,
    enlarge,
    greedy_heads,
    overlapping_pair_chunks,
    overlapping_pairs,
    paired_overlap,
    wasserstein_matrix,
    wasserstein_nms,
    wasserstein_similarity,
)


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


def test_wasserstein_similarity_is_symmetric_and_independent_of_position():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 4, generator=generator) * 100
    a = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], dim=1)
    b = a.roll(1, dims=0)
    there = wasserstein_similarity(a, b, 20)
    torch.testing.assert_close(there, wasserstein_similarity(b, a, 20))
    torch.testing.assert_close(there, wasserstein_similarity(a + 64, b + 64, 20), atol=1e-4, rtol=0)


def random_boxes(count, seed=0, far=0.0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 4, generator=generator) * 60
    return torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], dim=1) + far


@pytest.mark.parametrize("far", [0.0, 3000.0])
def test_the_matrix_holds_the_similarity_of_each_pair(far):
    a, b = random_boxes(40, 1, far), random_boxes(30, 2, far)
    matrix = wasserstein_matrix(a, b, 12.8)
    assert matrix.shape == (40, 30)
    for i in range(40):
        expected = wasserstein_similarity(a[i].expand(30, 4), b, 12.8)
        torch.testing.assert_close(matrix[i], expected, atol=1e-4, rtol=0)
    assert (wasserstein_matrix(a, a, 12.8).diagonal() == 1).all()
    assert wasserstein_matrix(a, b[:0], 12.8).shape == (40, 0)


@pytest.mark.parametrize("threshold", [0.3, 0.85])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_wasserstein_nms_against_a_slow_reference(count, threshold):
    boxes = random_boxes(count)
    boxes[count // 2 :: 7] = boxes[:1].clone()  # some boxes are equal
    kept = []
    for i in range(count):
        alike = wasserstein_similarity(boxes[i].expand(len(kept), 4), boxes[kept], 12.8)
        if not (alike > threshold).any():
            kept.append(i)
    assert wasserstein_nms(boxes, threshold, 12.8).tolist() == kept
    assert count < 2 or 1 < len(kept) < count


def test_wasserstein_nms_of_more_boxes_than_one_chunk():
    boxes = random_boxes(5000).round()
    kept = wasserstein_nms(boxes, 0.7, 12.8)
    alike = wasserstein_matrix(boxes[kept], boxes, 12.8) > 0.7
    assert not alike[:, kept].triu(1).any()
    # Each removed box is similar to a better box that is kept.
    gone = torch.ones(5000, dtype=torch.bool).index_fill(0, kept, False).nonzero()[:, 0]
    earlier = kept[:, None] < gone[None]
    assert (alike[:, gone] & earlier).any(dim=0).all()


def test_a_taken_box_takes_no_other_box():
    # 0 takes 1 and 2, so 1 can't take 3; 3 takes 4.
    upper, lower = torch.tensor([0, 0, 1, 3]), torch.tensor([1, 2, 3, 4])
    assert greedy_heads(6, upper, lower).tolist() == [0, 0, 0, 3, 3, 5]


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


def slow_pairs(boxes, groups):
    rows = boxes.tolist()
    return {
        (i, j)
        for j, (u0, v0, u1, v1) in enumerate(rows)
        for i, (x0, y0, x1, y1) in enumerate(rows[:j])
        if groups is None or groups[i] == groups[j]
        if min(x1, u1) > max(x0, u0) and min(y1, v1) > max(y0, v0)
    }


def scene(kind, count, generator):
    """Boxes that are hard for bands: equal edges, all sizes, far from the origin, identical."""
    if kind == "grid":
        corner = torch.randint(12, (count, 2), generator=generator).float()
        sides = torch.randint(4, (count, 2), generator=generator).float()  # 0: without area
    elif kind == "sizes":
        corner = torch.rand(count, 2, generator=generator) * 500 - 250
        sides = torch.exp(torch.rand(count, 2, generator=generator) * 7 - 1)
    elif kind == "huge":
        corner = 39_000 + torch.rand(count, 2, generator=generator) * 1000
        corner[::7] = 0
        sides = 10 + torch.rand(count, 2, generator=generator) * 90
    else:
        corner, sides = torch.zeros(count, 2), torch.ones(count, 2)
    return torch.cat([corner, corner + sides], dim=1)


@pytest.mark.parametrize("kind", ["grid", "sizes", "huge", "equal"])
@pytest.mark.parametrize("grouped", [False, True])
def test_overlapping_pairs_against_a_slow_reference(kind, grouped):
    generator = torch.Generator().manual_seed(0)
    for count in (1, 2, 3, 20, 90):
        boxes = scene(kind, count, generator)
        # Labels may be any integers.
        groups = torch.randint(3, (count,), generator=generator) * 10**12 - 5 if grouped else None
        expected = slow_pairs(boxes, groups)
        for dtype in (torch.float32, torch.float64):
            i, j = overlapping_pairs(boxes.to(dtype), groups)
            pairs = list(zip(i.tolist(), j.tolist(), strict=True))
            assert len(pairs) == len(set(pairs))
            assert set(pairs) == expected
        assert count < 90 or expected
        # Small chunks contain the same pairs.
        pieces = list(overlapping_pair_chunks(boxes, groups, limit=5))
        assert torch.equal(torch.cat([piece[0] for piece in pieces]), i)
        assert torch.equal(torch.cat([piece[1] for piece in pieces]), j)
        assert count < 90 or len(pieces) > 3


def test_boxes_that_only_touch_do_not_overlap():
    boxes = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [9, 9, 11, 11]])
    i, j = overlapping_pairs(boxes)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 3), (1, 3), (2, 3)]


def test_boxes_without_area_or_with_broken_coordinates_overlap_none():
    inf, nan = math.inf, math.nan
    boxes = [[0.0, 0, 9, 9], [1, 1, 8, 8], [2, 2, 2, 8], [5, 5, 4, 4]]
    boxes += [[0, 0, nan, 9], [nan] * 4, [0, 0, inf, 9], [-inf, -inf, inf, inf], [inf] * 4]
    i, j = overlapping_pairs(torch.tensor(boxes))
    assert (i.tolist(), j.tolist()) == ([0], [1])
    assert [len(part) for part in overlapping_pairs(torch.tensor(boxes[2:]))] == [0, 0]


@pytest.mark.parametrize("groups", [None, torch.zeros(0, dtype=torch.int64)])
def test_no_boxes_make_no_pairs(groups):
    i, j = overlapping_pairs(torch.zeros(0, 4), groups)
    assert i.shape == j.shape == (0,)
    assert i.dtype == j.dtype == torch.int64


def slow_components(count, pairs):
    labels = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            labels[a] = labels[b] = min(labels[a], labels[b])
    return labels


def test_components_against_a_slow_reference():
    generator = torch.Generator().manual_seed(0)
    for count, edges in ((1, 0), (5, 3), (40, 15), (40, 35), (40, 90)):
        i, j = torch.randint(count, (2, edges), generator=generator)
        expected = slow_components(count, list(zip(i.tolist(), j.tolist(), strict=True)))
        assert connected_components(count, i, j).tolist() == expected


def test_a_long_chain_in_any_order_is_one_component():
    chain = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    assert not connected_components(2000, chain[:-1], chain[1:]).any()


def test_nodes_without_edges_are_components_of_their_own():
    none = torch.zeros(0, dtype=torch.int64)
    assert connected_components(3, none, none).tolist() == [0, 1, 2]
    assert connected_components(0, none, none).tolist() == []


def test_paired_overlap_by_hand():
    first = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 5]])
    second = torch.tensor([[5.0, 0, 15, 10], [2, 2, 4, 7], [10, 0, 20, 10], [0, 0, 0, 5]])
    # Half of each; 10 of 100 pixels, all of the smaller one; only touching; no area.
    iou, ios = (paired_overlap(first, second, metric) for metric in ("iou", "ios"))
    torch.testing.assert_close(iou, torch.tensor([1 / 3, 0.1, 0, 0]))
    torch.testing.assert_close(ios, torch.tensor([0.5, 1, 0, 0]))
    # Centres 5 apart; centres (2, 0.5) apart and half sides (4, 2.5); the others share no area.
    expected = [math.exp(-5 / 12.8), math.exp(-math.sqrt(4 + 0.25 + 16 + 6.25) / 12.8), 0, 0]
    torch.testing.assert_close(paired_overlap(first, second, "nwd"), torch.tensor(expected))
    half = paired_overlap(first[:1], second[:1], "nwd", constant=5)
    assert half.item() == pytest.approx(math.exp(-1))
    with pytest.raises(ValueError, match=r"must be .iou., .ios. or .nwd.; got 'giou'"):
        paired_overlap(first, second, "giou")
