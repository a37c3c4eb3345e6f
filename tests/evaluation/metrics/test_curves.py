"""Curves and AP against pycocotools, plain loops, and sets with repeated images."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj.evaluation.metrics import curves
from smallobj.evaluation.metrics.challenge import challenge_map
from smallobj.evaluation.metrics.matching import EVERY_AREA, match_detections
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def random_set(seed, images=8, classes=3, ties=True, crowds=True):
    """Whole-numbered boxes around labels, detections in no special order; image 0 stays empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 7, images)
    counts[0] = 0
    number = np.repeat(np.arange(images), counts)
    corner = rng.integers(0, 60, (len(number), 2))
    boxes = np.concatenate([corner, corner + rng.integers(6, 40, (len(number), 2))], axis=1) * 1.0
    labels = LabelTable(
        number,
        rng.integers(0, classes - 1, len(number)),  # the last class has no labels
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        rng.random(len(number)) < (0.15 if crowds else 0),
    )
    copies = rng.permutation(np.repeat(np.arange(len(number)), 3))
    moved = boxes[copies] + rng.integers(-2, 3, (len(copies), 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    scores = rng.random(len(copies))
    detections = DetectionTable(
        np.where(rng.random(len(copies)) < 0.9, number[copies], 0),
        np.where(
            rng.random(len(copies)) < 0.8,
            labels.categories[copies],
            rng.integers(0, classes, len(copies)),
        ),
        moved,
        scores.round(1) if ties else scores,
    )
    ids = list(range(images))
    names = [f"class {k}" for k in range(classes)]
    files = [f"{i}.jpg" for i in ids]
    return EvaluationSet(ids, files, np.full((images, 2), 100), names, labels, detections)


def coco_run(data, area_range=EVERY_AREA, most=100):
    """pycocotools' precision (10, 101, K) and recall (10, K)."""
    labels, found = data.labels, data.detections
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": 100, "width": 100} for i in range(len(data.image_ids))],
        "categories": [{"id": k, "name": n} for k, n in enumerate(data.class_names)],
        "annotations": [
            {
                "id": i + 1,
                "image_id": int(labels.images[i]),
                "category_id": int(labels.categories[i]),
                "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
                "area": float(labels.areas[i]),
                "iscrowd": int(labels.crowd[i]),
            }
            for i, box in enumerate(labels.boxes)
        ],
    }
    truth.createIndex()
    results = [
        {
            "image_id": int(found.images[i]),
            "category_id": int(found.categories[i]),
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "score": float(found.scores[i]),
        }
        for i, box in enumerate(found.boxes)
    ]
    run = COCOeval(truth, truth.loadRes(results), "bbox")
    run.params.areaRng, run.params.areaRngLbl = [list(area_range)], ["all"]
    run.params.maxDets = [most]
    run.evaluate()
    run.accumulate()
    return run.eval["precision"][..., 0, 0], run.eval["recall"][..., 0, 0]


def repeated(data, times):
    """Each image ``times`` over as images of their own, next to each other."""
    source = np.repeat(np.arange(len(data.image_ids)), times)
    labels = [data.labels.images == i for i in source]
    found = [data.detections.images == i for i in source]

    def joined(table, chosen):
        rows = np.concatenate([np.flatnonzero(c) for c in chosen] + [np.zeros(0, np.int64)])
        new = np.repeat(np.arange(len(source)), [int(c.sum()) for c in chosen])
        columns = list(vars(table[rows]).values())
        return table.__class__(new, *columns[1:])

    return EvaluationSet(
        list(range(len(source))),
        [f"{i}.jpg" for i in range(len(source))],
        data.sizes[source],
        data.class_names,
        joined(data.labels, labels),
        joined(data.detections, found),
    )


@pytest.mark.parametrize("area_range", [EVERY_AREA, (0, 400), (400, 900)])
@pytest.mark.parametrize("most", [100, 3])
def test_ap_and_recall_are_those_of_pycocotools(area_range, most):
    for seed in range(8):
        data = random_set(seed)
        precision, recall = coco_run(data, area_range, most)
        ours = curves.iou_rankings(data, area_range=area_range, max_detections=most)
        defined = recall > -1
        sampled = np.array([[curves.interpolated_precision(r) for r in row] for row in ours])
        np.testing.assert_array_equal(~np.isnan(sampled).any(axis=2), defined)
        expected = np.where(defined[:, None], precision, np.nan).transpose(0, 2, 1)
        np.testing.assert_allclose(sampled, expected, atol=1e-12)
        ap = np.stack([curves.class_average_precision(row) for row in ours])
        np.testing.assert_allclose(ap, expected.mean(axis=2), atol=1e-12)
        found = np.array([[curves.recall(r) for r in row] for row in ours])
        np.testing.assert_allclose(found, np.where(defined, recall, np.nan), atol=1e-12)
        mean = precision[precision > -1].mean() if defined.any() else np.nan
        np.testing.assert_allclose(curves.mean_average_precision(ours), mean, atol=1e-12)
        mean = recall[defined].mean() if defined.any() else np.nan
        np.testing.assert_allclose(curves.mean_recall(ours), mean, atol=1e-12)


def test_area_rule_is_the_challenges():
    for seed in range(10):
        # Without ties the order can't differ; its rule of one target each is switched off.
        data = random_set(seed, ties=False, crowds=False)
        expected = challenge_map(data, plus_one=False, fall_back=True)
        matches = match_detections(data)
        ours = curves.class_average_precision(curves.class_rankings(data, matches), rule="area")
        np.testing.assert_allclose(ours, expected.per_class, atol=1e-12)


def by_hand():
    """Class a: labels in images 0 and 1, found at .9, wrong at .8, found at .7."""
    label = np.array([0.0, 0, 10, 10])
    labels = LabelTable(
        np.array([0, 1]),
        np.array([0, 0]),
        np.tile(label, (2, 1)),
        np.full(2, 100.0),
        np.zeros(2, bool),
    )
    boxes = np.stack([label, label + 50, label])
    detections = DetectionTable(
        np.array([0, 2, 1]), np.zeros(3, np.int64), boxes, np.array([0.9, 0.8, 0.7])
    )
    return EvaluationSet([0, 1, 2], ["a", "b", "c"], np.full((3, 2), 99), ["a"], labels, detections)


def test_by_hand():
    data = by_hand()
    (ranking,) = curves.class_rankings(data, match_detections(data))
    curve = curves.precision_recall(ranking)
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1])
    # 51 of the recalls 0, .01 ... .50 have precision 1, the other 50 have 2/3.
    assert curves.average_precision(ranking) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert curves.average_precision(ranking, rule="area") == pytest.approx(1 / 2 + 1 / 3)
    # The wrong one's image counts three times: 1, then 2 of 5.
    thrice = np.array([1, 1, 3])
    assert curves.average_precision(ranking, thrice, "area") == pytest.approx(1 / 2 + 1 / 5)
    # Image 0 drops out: one label, 1 of 2 right.
    without = np.array([0, 1, 1])
    assert curves.average_precision(ranking, without) == pytest.approx(1 / 2)
    assert curves.recall(ranking, np.array([[1, 3, 1], [0, 0, 1]]))[0] == 1
    assert np.isnan(curves.average_precision(ranking, np.array([0, 0, 1])))
    assert np.isnan(curves.recall(ranking, np.array([0, 0, 1])))


@pytest.mark.parametrize("rule", ["coco", "area"])
def test_weights_are_repeated_images(rule):
    for seed in range(12):
        data = random_set(seed, ties=False)
        times = np.random.default_rng(seed).integers(0, 4, (3, len(data.image_ids)))
        ours = curves.iou_rankings(data, (0.5, 0.75))
        weighted = np.stack([curves.class_average_precision(o, times, rule) for o in ours])
        pooled = curves.pooled_ranking(data, match_detections(data))
        for b, row in enumerate(times):
            again = repeated(data, row)
            copied = curves.iou_rankings(again, (0.5, 0.75))
            expected = np.stack([curves.class_average_precision(c, rule=rule) for c in copied])
            np.testing.assert_allclose(weighted[:, b], expected, atol=1e-12)
            found = [curves.recall(r, row) for r in ours[0]]
            np.testing.assert_allclose(found, [curves.recall(r) for r in copied[0]])
            np.testing.assert_allclose(
                curves.average_precision(pooled, row, rule),
                curves.average_precision(
                    curves.pooled_ranking(again, match_detections(again)), rule=rule
                ),
                atol=1e-12,
            )


def test_ties_between_images_follow_their_order_in_the_repeated_set_too():
    """Within an image and class no two scores are equal; between images most are."""
    for seed in range(12):
        data = random_set(seed, images=12)
        found, seen, kept = data.detections, set(), []
        for i in range(len(found)):
            key = (found.images[i], found.categories[i], found.scores[i])
            kept.append(key not in seen)
            seen.add(key)
        data = data.with_detections(found[np.array(kept, dtype=bool)])
        times = np.random.default_rng(seed).integers(0, 4, len(data.image_ids))
        again = repeated(data, times)
        ours = curves.class_rankings(data, match_detections(data))
        copied = curves.class_rankings(again, match_detections(again))
        np.testing.assert_allclose(
            curves.class_average_precision(ours, times),
            curves.class_average_precision(copied),
            atol=1e-12,
        )


def copied_in_place(ranking, times):
    """A ranking whose detections and labels are there ``times`` each, copies in a row."""
    repeats = times[ranking.images]
    columns = [np.repeat(column, repeats) for column in ranking[:4]]
    return curves.Ranking(*columns, np.repeat(ranking.label_images, times[ranking.label_images]))


def test_with_ties_within_images_weights_are_copies_in_a_row():
    for seed in range(12):
        data = random_set(seed)
        times = np.random.default_rng(seed).integers(0, 4, len(data.image_ids))
        for ranking in curves.class_rankings(data, match_detections(data)):
            copied = copied_in_place(ranking, times)
            for rule in ("coco", "area"):
                np.testing.assert_allclose(
                    curves.average_precision(ranking, times, rule),
                    curves.average_precision(copied, rule=rule),
                    atol=1e-12,
                )
            np.testing.assert_allclose(
                curves.interpolated_precision(ranking, times),
                curves.interpolated_precision(copied),
                atol=1e-12,
            )


def test_blocks_and_single_rows_agree(monkeypatch):
    data = random_set(5)
    weights = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), 37)
    rankings = curves.iou_rankings(data)
    whole = curves.mean_average_precision(rankings, weights)
    assert whole.shape == (37,)
    monkeypatch.setattr(curves, "_BLOCK", 50)
    np.testing.assert_array_equal(curves.mean_average_precision(rankings, weights), whole)
    single = [curves.mean_average_precision(rankings, row) for row in weights]
    np.testing.assert_array_equal(single, whole)
    np.testing.assert_array_equal(
        curves.mean_average_precision(rankings, np.ones(8)),
        curves.mean_average_precision(rankings),
    )


def test_scaled_weights_change_nothing():
    data = random_set(2)
    rankings = curves.iou_rankings(data, (0.5,))
    weights = np.random.default_rng(0).integers(0, 3, 8)
    np.testing.assert_allclose(
        curves.mean_average_precision(rankings, weights * 0.25),
        curves.mean_average_precision(rankings, weights),
    )


def test_nothing_at_all():
    data = by_hand()
    nothing = data.with_detections(data.detections[np.zeros(0, np.int64)])
    (ranking,) = curves.class_rankings(nothing, match_detections(nothing))
    assert curves.average_precision(ranking) == curves.recall(ranking) == 0
    assert curves.average_precision(ranking, np.ones((2, 3)), "area").tolist() == [0, 0]
    assert curves.interpolated_precision(ranking).tolist() == [0] * 101
    assert len(curves.precision_recall(ranking).scores) == 0
    assert curves.average_precision(ranking, np.ones((0, 3))).shape == (0,)


@pytest.mark.parametrize("wrong", [-1, np.nan, np.inf])
def test_wrong_weights(wrong):
    data = by_hand()
    (ranking,) = curves.class_rankings(data, match_detections(data))
    with pytest.raises(ValueError, match="weights must be finite and not negative, got"):
        curves.average_precision(ranking, np.array([1, wrong, 1]))
    with pytest.raises(ValueError, match=r"rule must be one of \['coco', 'area'\]; got 'voc'"):
        curves.average_precision(ranking, rule="voc")


def test_too_few_weights():
    data = by_hand()
    (ranking,) = curves.class_rankings(data, match_detections(data))
    for call in (curves.average_precision, curves.recall, curves.precision_recall):
        with pytest.raises(ValueError, match="one for each image, got 1 of at least"):
            call(ranking, np.ones(1))
