"""SSD's matching against a slow reference, ties included."""

import pytest
import torch
from torchvision.models.detection._utils import SSDMatcher

from smallobj.modeling.matching import BipartiteMatcher, bind


def slow_match(quality, threshold):
    """One pair at a time, in the order of the rule."""
    count, anchors = len(quality), len(quality[0])
    matches, labels = [None] * anchors, [0] * anchors
    pairs = [(-quality[i][j], i, j) for i in range(count) for j in range(anchors)]
    served = set()
    for value, i, j in sorted(pairs):
        if value < 0 and i not in served and matches[j] is None:
            served.add(i)
            matches[j], labels[j] = i, 1
    for j in range(anchors):
        if matches[j] is None:
            best = max(range(count), key=lambda i: (quality[i][j], -i))
            if quality[best][j] >= threshold:
                matches[j], labels[j] = best, 1
    return matches, labels


@pytest.mark.parametrize("steps", [3, 8, 1000], ids=["many ties", "ties", "hardly a tie"])
def test_it_is_the_greedy_order(steps):
    generator = torch.Generator().manual_seed(steps)
    for truths, anchors in [(1, 1), (1, 9), (3, 9), (9, 9), (9, 3), (12, 40)] * 6:
        quality = torch.randint(0, steps, (truths, anchors), generator=generator) / steps
        before = quality.clone()
        matches, labels = BipartiteMatcher(0.5)(quality)
        assert torch.equal(quality, before)
        expected, expected_labels = slow_match(quality.tolist(), 0.5)
        assert labels.tolist() == expected_labels
        assert [m for m, label in zip(matches.tolist(), labels, strict=True) if label] == [
            m for m in expected if m is not None
        ]


def test_a_bound_anchor_goes_to_its_own_ground_truth():
    # Both anchors lie mostly on the large object; the small one meets nothing but anchor 1.
    quality = torch.tensor([[0.8, 0.7], [0.0, 0.2]])
    matches, labels = BipartiteMatcher(0.5)(quality)
    assert matches.tolist() == [0, 1]
    assert labels.tolist() == [1, 1]


def test_two_objects_with_the_same_best_anchor_both_get_one():
    quality = torch.tensor([[0.0, 0.3, 0.1], [0.0, 0.4, 0.2]])
    matches, labels = BipartiteMatcher(0.5)(quality)
    assert labels.tolist() == [0, 1, 1]
    assert matches.tolist()[1:] == [1, 0]


def test_an_object_that_overlaps_no_anchor_gets_none():
    matches, labels = BipartiteMatcher(0.5)(torch.tensor([[0.0, 0.0], [0.6, 0.0]]))
    assert labels.tolist() == [1, 0]
    assert matches[0] == 1


def test_without_objects_all_is_background():
    matches, labels = BipartiteMatcher(0.5)(torch.zeros(0, 5))
    assert labels.tolist() == [0] * 5
    assert len(matches) == 5


def test_the_threshold_itself_is_enough():
    _, labels = BipartiteMatcher(0.5)(torch.tensor([[0.9, 0.5, 0.4999]]))
    assert labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01])
def test_wrong_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match="must lie in"):
        BipartiteMatcher(threshold)


def test_where_best_anchors_differ_matching_is_torchvisions():
    generator = torch.Generator().manual_seed(0)
    compared = 0
    for _ in range(50):
        quality = torch.rand(4, 60, generator=generator) ** 3
        best = quality.argmax(dim=1)
        if len(best.unique()) < len(best):
            continue
        compared += 1
        matches, labels = BipartiteMatcher(0.5)(quality)
        assert torch.equal(torch.where(labels == 1, matches, -1), SSDMatcher(0.5)(quality))
    assert compared > 30


def test_rows_without_a_free_column_are_not_bound():
    rows, columns = bind(torch.tensor([[0.9], [0.8], [0.95]]))
    assert rows.tolist() == [2]
    assert columns.tolist() == [0]
