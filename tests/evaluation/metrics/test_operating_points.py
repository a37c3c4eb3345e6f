"""Operating points against plain loops, and by hand."""

import numpy as np
import pytest

from smallobj.evaluation.metrics.curves import Ranking, pooled_ranking
from smallobj.evaluation.metrics.matching import match_detections
from smallobj.evaluation.metrics.operating_points import (
    best_point,
    operating_curve,
    operating_curves,
    point_at,
)
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def ranking_of(scores, right, labels):
    scores = np.array(scores, dtype=np.float64)
    nothing = np.zeros(len(scores), np.int64)
    return Ranking(
        scores, np.array(right, dtype=bool), nothing, nothing, np.zeros(labels, np.int64)
    )


def random_set(seed, images=6, classes=2):
    rng = np.random.default_rng(seed)
    number = rng.integers(1, images, 20)
    corner = rng.integers(0, 60, (20, 2))
    boxes = np.concatenate([corner, corner + rng.integers(6, 30, (20, 2))], axis=1) * 1.0
    labels = LabelTable(
        number,
        rng.integers(0, classes, 20),
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        rng.random(20) < 0.15,
    )
    copies = rng.integers(0, 20, 50)
    moved = boxes[copies] + rng.integers(-2, 3, (50, 4))
    detections = DetectionTable(
        number[copies], labels.categories[copies], moved, rng.random(50).round(1)
    )
    names, ids = [str(k) for k in range(classes)], list(range(images))
    sizes = np.full((images, 2), 100)
    return EvaluationSet(ids, [str(i) for i in ids], sizes, names, labels, detections)


def test_by_hand():
    """Right at .9, wrong at .8, right and wrong at .6, wrong at .3; three labels."""
    curve = operating_curve(ranking_of([0.9, 0.8, 0.6, 0.6, 0.3], [1, 0, 1, 0, 0], 3))
    assert curve.confidences.tolist() == [0.9, 0.8, 0.6, 0.3]
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 4, 2 / 5])
    np.testing.assert_allclose(curve.recall, [1 / 3, 1 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(curve.f1, [2 / 4, 2 / 5, 4 / 7, 4 / 8])
    best = best_point(curve)
    assert best.confidence == 0.6
    assert (best.right, best.wrong, best.missed) == (2, 2, 1)
    assert best.f1 == pytest.approx(4 / 7)


def test_of_equal_f1_the_highest_confidence():
    # 1 of 1 shown of 3 labels: 2 / 4. Then 2 of 5: 4 / 8.
    curve = operating_curve(ranking_of([0.9, 0.5, 0.5, 0.5, 0.4], [1, 0, 0, 0, 1], 3))
    assert curve.f1[0] == curve.f1[-1] == 0.5
    assert best_point(curve).confidence == 0.9


def test_at_a_confidence():
    curve = operating_curve(ranking_of([0.9, 0.8, 0.6, 0.6, 0.3], [1, 0, 1, 0, 0], 3))
    for confidence, right, wrong in [
        (0.95, 0, 0),
        (0.9, 1, 0),
        (0.85, 1, 0),
        (0.8, 1, 1),
        (0.6, 2, 2),
        (0.59, 2, 2),
        (0.0, 2, 3),
    ]:
        point = point_at(curve, confidence)
        assert point.confidence == confidence
        assert (point.right, point.wrong, point.missed) == (right, wrong, 3 - right)
    nothing = point_at(curve, 1.0)
    assert np.isnan(nothing.precision)
    assert nothing.recall == nothing.f1 == 0
    with pytest.raises(ValueError, match="confidence must be a number, got nan"):
        point_at(curve, float("nan"))


def test_nothing_to_find_or_nothing_found():
    wrong = operating_curve(ranking_of([0.9], [0], 0))
    assert best_point(wrong) is None
    assert np.isnan(wrong.recall).all()
    assert wrong.f1.tolist() == wrong.precision.tolist() == [0]
    empty = operating_curve(ranking_of([], [], 2))
    assert len(empty.confidences) == 0
    assert best_point(empty) is None
    assert point_at(empty, 0.5).missed == 2
    assert np.isnan(point_at(operating_curve(ranking_of([], [], 0)), 0.5).f1)


def test_a_confidence_is_the_set_without_what_is_below():
    """Matching only the shown detections anew gives the same counts."""
    for seed in range(10):
        data = random_set(seed)
        by_class, together = operating_curves(data, match_detections(data))
        for confidence in np.arange(0, 1.1, 0.1).round(1):
            shown = data.with_detections(data.detections[data.detections.scores >= confidence])
            matches = match_detections(shown)
            points = [point_at(curve, confidence) for curve in [*by_class, together]]
            for k, point in enumerate(points):
                of_class = [
                    k in (c, len(by_class)) and not skip
                    for c, skip in zip(shown.detections.categories, matches.ignored, strict=True)
                ]
                right = sum(
                    use and label >= 0 for use, label in zip(of_class, matches.label, strict=True)
                )
                labels = sum(
                    k in (c, len(by_class)) and not skip
                    for c, skip in zip(data.labels.categories, matches.ignored_label, strict=True)
                )
                assert point.right == right
                assert point.wrong == sum(of_class) - right
                assert point.missed == labels - right


def test_weights_count_images():
    data = random_set(4)
    ranking = pooled_ranking(data, match_detections(data))
    times = np.array([1, 0, 2, 3, 0, 1])
    curve = operating_curve(ranking, times)
    for confidence in curve.confidences:
        shown = ranking.scores >= confidence
        point = point_at(curve, confidence)
        assert point.right == times[ranking.images[shown & ranking.right]].sum()
        assert point.wrong == times[ranking.images[shown & ~ranking.right]].sum()
        assert point.right + point.missed == times[ranking.label_images].sum()
