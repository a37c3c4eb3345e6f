"""The confusion matrix by hand, and against plain loops."""

import numpy as np
import pytest

from smallobj.evaluation.metrics.confusion import ConfusedPair, confusion_matrix

NUT, BOLT, COIN = range(3)


def at(place, width=10):
    return [place, 0, place + width, 10]


def iou(a, b, crowd=False):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    own = (a[2] - a[0]) * (a[3] - a[1])
    return shared / (own if crowd else own + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain_counts(data, score, threshold):
    """The documented rule, one detection after the other."""
    labels, found = data.labels, data.detections
    background = len(data.class_names)
    counts = np.zeros((background + 1, background + 1), dtype=int)
    taken = set()

    def own_class(d):
        return any(
            labels.images[g] == found.images[d]
            and labels.categories[g] == found.categories[d]
            and not labels.crowd[g]
            and iou(found.boxes[d], labels.boxes[g]) >= threshold
            for g in range(len(labels))
        )

    counting = [d for d in range(len(found)) if found.scores[d] >= score]
    for d in sorted(counting, key=lambda d: (-found.scores[d], not own_class(d), d)):
        best, best_iou, on_crowd = None, threshold, False
        for g in range(len(labels)):
            if labels.images[g] != found.images[d]:
                continue
            overlap = iou(found.boxes[d], labels.boxes[g], labels.crowd[g])
            if labels.crowd[g]:
                on_crowd = on_crowd or overlap >= threshold
            elif g not in taken and overlap >= best_iou:
                best, best_iou = g, overlap
        if best is not None:
            taken.add(best)
            counts[labels.categories[best], found.categories[d]] += 1
        elif not on_crowd:
            counts[background, found.categories[d]] += 1
    for g in range(len(labels)):
        if g not in taken and not labels.crowd[g]:
            counts[labels.categories[g], background] += 1
    return counts


@pytest.mark.parametrize("score", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_counts_are_those_of_plain_loops(score, threshold, random_set):
    off_diagonal = 0
    for seed in range(40):
        data = random_set(seed)
        found = confusion_matrix(data, score, threshold)
        np.testing.assert_array_equal(
            found.counts, plain_counts(data, score, threshold), err_msg=str(seed)
        )
        off_diagonal += found.counts[:3, :3].sum() - np.trace(found.counts[:3, :3])
    assert off_diagonal > 50


def test_every_label_and_counted_detection_is_in_one_cell(random_set):
    for seed in range(20):
        data = random_set(seed)
        found = confusion_matrix(data, 0.2)
        by_class = np.bincount(data.labels.categories[~data.labels.crowd], minlength=3)
        np.testing.assert_array_equal(found.counts[:3].sum(axis=1), by_class)
        by_class = np.bincount(data.detections.categories[found.counted], minlength=3)
        np.testing.assert_array_equal(found.counts[:, :3].sum(axis=0), by_class)
        assert found.counts[3, 3] == 0
        assert not found.counted[data.detections.scores < 0.2].any()
        matched = np.flatnonzero(found.detection >= 0)
        np.testing.assert_array_equal(found.label[found.detection[matched]], matched)
        assert len(matched) == (found.label >= 0).sum()


def test_by_hand(small_set):
    data = small_set(
        [(NUT, at(0)), (NUT, at(100)), (BOLT, at(200)), (COIN, at(300))],
        [
            (NUT, at(0), 0.9),
            (BOLT, at(100), 0.8),
            (BOLT, at(200), 0.7),
            (NUT, at(500), 0.6),
            (COIN, at(300), 0.4),
        ],
    )
    found = confusion_matrix(data, 0.5)
    expected = [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    np.testing.assert_array_equal(found.counts, expected)
    np.testing.assert_array_equal(found.label, [0, 1, 2, -1, -1])
    np.testing.assert_array_equal(found.detection, [0, 1, 2, -1])
    np.testing.assert_array_equal(found.counted, [True, True, True, True, False])
    np.testing.assert_allclose(found.by_label[0], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(found.by_detection[:, 0], [0.5, 0, 0, 0.5])
    assert np.isnan(found.by_detection[:, 2]).all()
    np.testing.assert_allclose(found.by_total.sum(), 1)
    assert found.most_confused() == [ConfusedPair("nut", "bolt", 1, 0.5)]
    assert found.most_confused(background=True) == [
        ConfusedPair("coin", "background", 1, 1.0),
        ConfusedPair("nut", "bolt", 1, 0.5),
        ConfusedPair("background", "nut", 1, 0.5),
    ]
    assert found.most_confused(1, background=True)[0].true == "coin"


def test_the_more_confident_detection_takes_the_label_even_with_a_wrong_class(small_set):
    data = small_set([(NUT, at(0))], [(BOLT, at(0), 0.9), (NUT, at(0), 0.8)])
    counts = confusion_matrix(data, 0.5).counts
    assert counts[NUT, BOLT] == 1
    assert counts[3, NUT] == 1
    assert counts.sum() == 2


def test_of_equally_confident_ones_the_right_class_goes_first(small_set):
    data = small_set([(NUT, at(0))], [(BOLT, at(0), 0.9), (NUT, at(1), 0.9)])
    found = confusion_matrix(data, 0.5)
    assert found.counts[NUT, NUT] == 1
    assert found.counts[3, BOLT] == 1
    np.testing.assert_array_equal(found.label, [-1, 0])


def test_crowds_swallow_detections_of_any_class_and_are_never_missed(small_set):
    data = small_set([(NUT, at(0, 100), True)], [(BOLT, at(20), 0.9), (NUT, at(50), 0.8)])
    found = confusion_matrix(data, 0.5)
    assert found.counts.sum() == 0
    assert not found.counted.any()
    assert np.isnan(found.by_total).all()


def test_nothing_found_and_nothing_to_find(small_set):
    labels, detections = [(NUT, at(0))], [(BOLT, at(0), 0.9)]
    assert confusion_matrix(small_set(labels, []), 0.5).counts[NUT, 3] == 1
    assert confusion_matrix(small_set([], detections), 0.5).counts[3, BOLT] == 1
    empty = confusion_matrix(small_set([], []), 0.5)
    assert empty.counts.shape == (4, 4)
    assert empty.counts.sum() == 0
    assert empty.most_confused(background=True) == []


def test_more_detections_than_coco_counts(small_set):
    many = [(NUT, at(20 * i), 0.9) for i in range(150)]
    assert confusion_matrix(small_set([(NUT, at(0))], many), 0.5).counts[3, NUT] == 149


@pytest.mark.parametrize("value", [0, 1.2, float("nan")])
def test_iou_thresholds_that_make_no_sense(value, small_set):
    with pytest.raises(ValueError, match=f"iou_threshold must lie in .*{value}"):
        confusion_matrix(small_set([], []), 0.5, value)


def test_a_score_threshold_must_be_a_number(small_set):
    with pytest.raises(ValueError, match="score_threshold"):
        confusion_matrix(small_set([], []), float("nan"))
