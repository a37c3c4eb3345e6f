"""Error types of detections and missed labels: by hand, and against plain loops."""

import numpy as np
import pytest

from smallobj.evaluation.metrics.errors import ERROR_TYPES, Outcome, find_errors
from smallobj.evaluation.metrics.matching import match_detections

NUT, BOLT = range(2)


def at(place, width=10):
    """A box of ``width`` x 10 px."""
    return [place, 0, place + width, 10]


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain_outcome(data, matches, d, high, low):
    """(outcome, label) of one detection, by the rules as documented."""
    if matches.ignored[d]:
        return Outcome.IGNORED, -1
    if matches.label[d] >= 0:
        return Outcome.CORRECT, matches.label[d]
    own, other = (0.0, -1), (0.0, -1)
    for g in range(len(data.labels)):
        if data.labels.images[g] != data.detections.images[d] or data.labels.crowd[g]:
            continue
        near = (iou(data.detections.boxes[d], data.labels.boxes[g]), g)
        if data.labels.categories[g] == data.detections.categories[d]:
            own = max(own, near)
        else:
            other = max(other, near)
    if low <= own[0] < high:
        return Outcome.LOCALISATION, own[1]
    if other[0] >= high:
        return Outcome.CLASSIFICATION, other[1]
    if own[0] >= high:
        return Outcome.DUPLICATE, own[1]
    if other[0] >= low:
        return Outcome.BOTH, other[1]
    return Outcome.BACKGROUND, -1


@pytest.mark.parametrize("thresholds", [(0.5, 0.1), (0.75, 0.3), (1.0, 0.1)])
@pytest.mark.parametrize("most", [100, 2])
def test_outcomes_are_those_of_plain_loops(thresholds, most, random_set):
    seen = set()
    for seed in range(40):
        data = random_set(seed)
        matches = match_detections(data, thresholds[0], max_detections=most)
        found = find_errors(data, *thresholds, max_detections=most)
        accounted = set()
        for d in range(len(data.detections)):
            outcome, label = plain_outcome(data, matches, d, *thresholds)
            assert (found.outcome[d], found.label[d]) == (outcome, label), (seed, d)
            seen.add(outcome)
            if outcome in (Outcome.CLASSIFICATION, Outcome.LOCALISATION):
                accounted.add(label)
            if label >= 0:
                expected = iou(data.detections.boxes[d], data.labels.boxes[label])
                assert found.iou[d] == pytest.approx(expected)
        for g in range(len(data.labels)):
            undetected = not data.labels.crowd[g] and g not in matches.label
            assert found.undetected[g] == undetected
            assert found.missed[g] == (undetected and g not in accounted)
    assert most < 100 or seen == set(Outcome) - {Outcome.MISSED}


def test_the_types_partition_the_false_positives(random_set):
    for seed in range(20):
        data = random_set(seed)
        found = find_errors(data)
        matches = found.matches
        wrong = ~matches.ignored & (matches.label < 0)
        np.testing.assert_array_equal(found.false_positives, wrong)
        total = sum(found.of_type(kind).astype(int) for kind in ERROR_TYPES)
        np.testing.assert_array_equal(total, wrong)
        assert not found.of_type(Outcome.MISSED).any()
        np.testing.assert_array_equal(found.label < 0, found.of_type(Outcome.BACKGROUND, -1))
        right = np.flatnonzero(found.outcome == Outcome.CORRECT)
        np.testing.assert_array_equal(found.finder[found.label[right]], right)
        assert (found.finder >= 0).sum() == len(right)


@pytest.mark.parametrize(
    ("category", "box", "expected", "concerned"),
    [
        (BOLT, at(0), Outcome.CLASSIFICATION, 0),
        (NUT, at(5), Outcome.LOCALISATION, 0),  # IoU 5/15
        (BOLT, at(5), Outcome.BOTH, 0),
        (NUT, at(100), Outcome.BACKGROUND, -1),
        (NUT, at(9), Outcome.BACKGROUND, -1),  # IoU 1/19, less than 0.1
        (BOLT, at(9), Outcome.BACKGROUND, -1),
    ],
)
def test_one_detection_of_one_label(category, box, expected, concerned, small_set):
    found = find_errors(small_set([(NUT, at(0))], [(category, box, 0.9)]))
    assert found.outcome.tolist() == [expected]
    assert found.label.tolist() == [concerned]
    assert found.undetected.tolist() == [True]
    accounted = expected in (Outcome.CLASSIFICATION, Outcome.LOCALISATION)
    assert found.missed.tolist() == [not accounted]
    assert found.finder.tolist() == [-1]


def test_a_duplicate(small_set):
    data = small_set([(NUT, at(0))], [(NUT, at(0), 0.8), (NUT, at(1), 0.9)])
    found = find_errors(data)
    assert found.outcome.tolist() == [Outcome.DUPLICATE, Outcome.CORRECT]
    assert found.label.tolist() == [0, 0]
    assert found.finder.tolist() == [1]
    assert found.iou.tolist() == pytest.approx([1, 9 / 11])


def test_a_wrong_class_on_a_label_that_is_found_concerns_it_all_the_same(small_set):
    data = small_set([(NUT, at(0))], [(NUT, at(0), 0.8), (BOLT, at(0), 0.9)])
    found = find_errors(data)
    assert found.outcome.tolist() == [Outcome.CORRECT, Outcome.CLASSIFICATION]
    assert found.label.tolist() == [0, 0]


def test_where_several_rules_hold(small_set):
    # A nut at 0, found, and a bolt at 3. The second nut overlaps the first by 8/12, the bolt by
    # 9/11: classification goes before duplicate.
    labels = [(NUT, at(0)), (BOLT, at(3))]
    found = find_errors(small_set(labels, [(NUT, at(0), 0.9), (NUT, at(2), 0.8)]))
    assert found.outcome.tolist() == [Outcome.CORRECT, Outcome.CLASSIFICATION]
    assert found.label.tolist() == [0, 1]
    # Of its class by 5/15, of another by 9/11: localisation goes before classification.
    found = find_errors(small_set([(NUT, at(0)), (BOLT, at(6))], [(NUT, at(5), 0.9)]))
    assert found.outcome.tolist() == [Outcome.LOCALISATION]
    assert found.label.tolist() == [0]


def test_of_equally_near_labels_the_last_is_concerned(small_set):
    # By 3/17 each: too little to be right.
    found = find_errors(small_set([(NUT, at(0)), (NUT, at(14))], [(NUT, at(7), 0.9)]))
    assert found.label.tolist() == [1]
    assert found.missed.tolist() == [True, False]


def test_exactly_at_the_thresholds(small_set):
    # IoU 0.5: boxes of 10 x 10 and 20 x 10. IoU 0.1: 10 x 10 and 100 x 10.
    labels = [(NUT, at(0))]
    assert find_errors(small_set(labels, [(NUT, at(0, 20), 0.9)])).outcome[0] == Outcome.CORRECT
    found = find_errors(small_set(labels, [(BOLT, at(0, 20), 0.9)]))
    assert found.outcome[0] == Outcome.CLASSIFICATION
    found = find_errors(small_set(labels, [(NUT, at(0, 100), 0.9)]))
    assert found.outcome[0] == Outcome.LOCALISATION
    assert find_errors(small_set(labels, [(BOLT, at(0, 100), 0.9)])).outcome[0] == Outcome.BOTH


def test_crowds_excuse_detections_of_their_class_and_concern_none(small_set):
    crowd = [(NUT, at(0, 100), True)]
    found = find_errors(small_set(crowd, [(NUT, at(0), 0.9), (NUT, at(40), 0.8)]))
    assert found.outcome.tolist() == [Outcome.IGNORED] * 2
    assert found.label.tolist() == [-1, -1]
    assert not found.undetected.any()
    # Of another class it is no excuse: by the labels alone that is background.
    found = find_errors(small_set(crowd, [(BOLT, at(0, 90), 0.9)]))
    assert found.outcome.tolist() == [Outcome.BACKGROUND]


def test_detections_beyond_those_that_count_are_ignored(small_set):
    data = small_set([(NUT, at(0))], [(NUT, at(0), 0.1), (NUT, at(50), 0.9)])
    found = find_errors(data, max_detections=1)
    assert found.outcome.tolist() == [Outcome.IGNORED, Outcome.BACKGROUND]
    assert found.missed.tolist() == [True]


def test_nothing_found_and_nothing_to_find(small_set):
    found = find_errors(small_set([(NUT, at(0))], []))
    assert found.missed.tolist() == [True]
    assert len(found.outcome) == 0
    found = find_errors(small_set([], [(NUT, at(0), 0.9)]))
    assert found.outcome.tolist() == [Outcome.BACKGROUND]
    found = find_errors(small_set([], []))
    assert len(found.outcome) == len(found.missed) == 0


@pytest.mark.parametrize("thresholds", [(0.5, 0.5), (0.5, 0), (1.1, 0.1), (float("nan"), 0.1)])
def test_thresholds_that_make_no_sense(thresholds, small_set):
    with pytest.raises(ValueError, match="background_threshold < iou_threshold"):
        find_errors(small_set([], []), *thresholds)
