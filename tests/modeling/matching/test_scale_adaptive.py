"""Thresholds that depend on the object's size, by hand and against plain loops."""

import pytest
import torch
from detectron2.structures import Boxes, pairwise_iou

from smallobj.modeling.matching import ScaleAdaptiveMatcher

RULE = {"base": 0.25, "slope": 0.15, "size": 12, "bounds": (0.2, 0.7), "background": 0.15}


def squares(*sides):
    return torch.tensor([[0.0, 0, side, side] for side in sides])


def test_thresholds_by_hand():
    matcher = ScaleAdaptiveMatcher(**RULE)
    # 0.25 + 0.15 log2(side / 12): a doubling adds 0.15, from 96 px on it is 0.70, and below 9.5 px
    # it would be less than 0.20.
    found = matcher.positive_thresholds(squares(12, 24, 48, 96, 200, 6))
    torch.testing.assert_close(found, torch.tensor([0.25, 0.40, 0.55, 0.70, 0.70, 0.20]))
    # The side of a box that isn't square is the root of its area: 6 x 24 is as 12 x 12.
    assert matcher.positive_thresholds(torch.tensor([[5.0, 7, 11, 31]])).item() == 0.25


def test_labels_by_hand():
    matcher = ScaleAdaptiveMatcher(**RULE)
    objects = squares(12, 96)
    #                        small  small  small  large  large  nobody's
    quality = torch.tensor([[0.30, 0.24, 0.90, 0.00, 0.00, 0.14], [0.0, 0.0, 0.1, 0.72, 0.69, 0.1]])
    matched, labels = matcher.match(quality, objects)
    assert matched.tolist() == [0, 0, 0, 1, 1, 0]
    assert labels.tolist() == [1, -1, 1, 1, -1, 0]


def test_the_best_anchor_of_an_object_is_positive_however_little_it_overlaps():
    matcher = ScaleAdaptiveMatcher(**RULE)
    quality = torch.tensor([[0.3, 0.1, 0.05], [0.1, 0.12, 0.02]])
    assert matcher.match(quality, squares(12, 96))[1].tolist() == [1, 1, 0]


def test_an_anchor_belongs_to_the_object_that_it_overlaps_most():
    # 0.4 would do for the small object, but the large one overlaps more and asks for 0.7.
    quality = torch.tensor([[0.4, 0.9], [0.5, 0.0], [0.0, 0.0]])
    matched, labels = ScaleAdaptiveMatcher(**RULE).match(quality[:2], squares(12, 96))
    assert matched.tolist() == [1, 0]
    # Of the large object it is the best anchor, which makes it positive all the same.
    assert labels.tolist() == [1, 1]
    quality = torch.tensor([[0.4, 0.9, 0.0], [0.5, 0.0, 0.8]])
    assert ScaleAdaptiveMatcher(**RULE).match(quality, squares(12, 96))[1].tolist() == [-1, 1, 1]


def test_against_a_slow_reference():
    generator = torch.Generator().manual_seed(0)

    def boxes(count, lowest, highest):
        corner = torch.rand(count, 2, generator=generator) * 100
        side = lowest + torch.rand(count, 2, generator=generator) * (highest - lowest)
        return torch.cat([corner, corner + side], dim=1)

    objects, anchors = boxes(12, 8, 100), boxes(600, 10, 90)
    quality = pairwise_iou(Boxes(objects), Boxes(anchors))
    matcher = ScaleAdaptiveMatcher(**RULE)
    _, labels = matcher.match(quality, objects)
    thresholds = matcher.positive_thresholds(objects).tolist()
    expected = []
    for a in range(600):
        column = quality[:, a].tolist()
        best = max(range(12), key=lambda g: column[g])
        positive = column[best] >= thresholds[best]
        positive |= any(column[g] == quality[g].max() for g in range(12))
        expected.append(1 if positive else 0 if column[best] < 0.15 else -1)
    assert labels.tolist() == expected
    assert {1, 0, -1} == set(expected)


def test_no_objects_and_no_anchors():
    matcher = ScaleAdaptiveMatcher(**RULE)
    assert matcher.match(torch.zeros(0, 3), torch.zeros(0, 4))[1].tolist() == [0, 0, 0]
    assert matcher.match(torch.zeros(2, 0), squares(5, 6))[1].tolist() == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bounds": (0.7, 0.2)}, r"BOUNDS are two rising .*got \(0.7, 0.2\)"),
        ({"bounds": (0.2,)}, r"BOUNDS are two"),
        ({"background": 0.3}, r"BACKGROUND must lie in \(0, 0.2\].*got 0.3"),
        ({"size": 0}, r"SIZE must be positive; got 0"),
        ({"slope": -0.1}, r"SLOPE must not be negative; got -0.1"),
    ],
)
def test_wrong_settings_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ScaleAdaptiveMatcher(**{**RULE, **change})
