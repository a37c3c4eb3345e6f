import time

import numpy as np
import pytest

from smallobj.evaluation.metrics import matching
from smallobj.evaluation.metrics.challenge import challenge_map
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def columns(rows):
    """rows: (image, category, (x1, y1, x2, y2), ...); images, categories and boxes of them."""
    return (
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([r[1] for r in rows], dtype=np.int64),
        np.array([r[2] for r in rows], dtype=np.float64).reshape(-1, 4),
    )


def evaluation_set(labels, detections, scores, classes):
    """labels, detections: images, categories and boxes."""
    images = int(max(labels[0].max(initial=0), detections[0].max(initial=0))) + 1
    areas = (labels[2][:, 2:] - labels[2][:, :2]).prod(axis=1)
    return EvaluationSet(
        list(range(images)),
        [f"{n}.jpg" for n in range(images)],
        np.full((images, 2), 3000),
        [f"class {k}" for k in range(classes)],
        LabelTable(*labels, areas, np.zeros(len(areas), bool)),
        DetectionTable(*detections, scores),
    )


def score(truth, detections, classes=1, **switches):
    """truth: (image, category, (x1, y1, x2, y2)); detections: with a score behind."""
    scores = np.array([r[3] for r in detections], dtype=np.float64)
    data = evaluation_set(columns(truth), columns(detections), scores, classes)
    return challenge_map(data, **switches)


BOX = (100, 100, 110, 110)
NEXT = (200, 100, 210, 110)


@pytest.mark.parametrize(
    ("plus_one", "iou"), [(False, 8.2**2 / (200 - 8.2**2)), (True, 9.2**2 / (242 - 9.2**2))]
)
def test_plus_one_on_ten_pixels_moved_by_18_percent(plus_one, iou):
    assert round(iou, 3) == (0.538 if plus_one else 0.506)
    moved = (101.8, 101.8, 111.8, 111.8)
    for threshold, expected in ((iou - 1e-9, 1.0), (iou + 1e-9, 0.0)):
        found = score(
            [(0, 0, BOX)], [(0, 0, moved, 0.9)], plus_one=plus_one, iou_threshold=threshold
        )
        assert found.mean == expected


def test_area_under_the_curve_by_hand():
    truth = [(0, 0, BOX), (0, 0, NEXT), (1, 0, BOX), (2, 0, BOX)]
    detections = [
        (0, 0, BOX, 0.9),  # right: precision 1, recall 1/4
        (1, 0, NEXT, 0.8),  # wrong
        (0, 0, NEXT, 0.7),  # right: precision 2/3, recall 2/4
        (1, 0, BOX, 0.6),  # right: precision 3/4, recall 3/4; lifts the point before it
        (2, 0, NEXT, 0.5),  # wrong; image 2 stays unfound
    ]
    assert score(truth, detections).mean == pytest.approx((1 + 3 / 4 + 3 / 4) / 4)


def test_all_classes_count_and_one_without_truth_counts_zero():
    found = score([(0, 0, BOX), (0, 1, BOX)], [(0, 0, BOX, 0.9), (0, 2, BOX, 0.9)], classes=4)
    assert found.mean == 0.25
    assert found.per_class[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found.per_class[2:]).all()


def test_a_duplicate_is_wrong():
    truth = [(0, 0, BOX), (1, 0, BOX)]
    detections = [(0, 0, BOX, 0.9), (0, 0, BOX, 0.8), (1, 0, BOX, 0.7)]
    assert score(truth, detections).mean == pytest.approx((1 + 2 / 3) / 2)


def test_only_the_best_truth_is_looked_at_unless_told():
    truth = [(0, 0, (0, 0, 100, 100)), (0, 0, (0, 0, 100, 80))]
    # Both are nearest to the first truth; the second box also has IoU > 0.5 with the other.
    detections = [(0, 0, (0, 0, 100, 100), 0.9), (0, 0, (0, 0, 100, 95), 0.8)]
    assert score(truth, detections).mean == 0.5
    assert score(truth, detections, fall_back=True).mean == 1.0


def test_equal_scores_keep_the_order_given():
    truth = [(0, 0, BOX), (0, 0, NEXT)]
    wrong_first = [(0, 0, (0, 0, 9, 9), 0.5), (0, 0, BOX, 0.5)]
    assert score(truth, wrong_first).mean == 0.25
    assert score(truth, wrong_first[::-1]).mean == 0.5


def test_equal_overlaps_go_to_the_first_truth():
    truth = [(0, 0, BOX), (0, 0, BOX)]
    assert score(truth, [(0, 0, BOX, 0.9), (0, 0, BOX, 0.8)]).mean == 0.5


def test_cut_at_a_hundred_in_each_image_over_all_classes():
    far = (500, 500, 510, 510)
    noise = [(0, 1, far, 0.9)] * 99
    truth = [(0, 0, BOX), (1, 0, BOX)]
    detections = [*noise, (0, 0, far, 0.8), (0, 0, BOX, 0.7), (1, 0, BOX, 0.1)]
    # The hundredth of image 0 is wrong and its 101st, right, is cut; image 1 has its own hundred.
    assert score(truth, detections, classes=2).per_class[0] == pytest.approx(0.5 / 2)
    longer = score(truth, detections, classes=2, max_per_image=101)
    assert longer.per_class[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("truth", [[], [(0, 0, BOX)]])
@pytest.mark.parametrize("detections", [[], [(0, 0, NEXT, 0.9)]])
def test_nothing_found_or_nothing_to_find_is_zero(truth, detections):
    assert score(truth, detections, classes=3).mean == 0.0


def slow_reference(truth, detections, classes, plus_one, fall_back, limit):
    """The same rules, one box at a time."""
    pad = 1 if plus_one else 0

    def iou(a, b):
        w = max(0, min(a[2], b[2]) - max(a[0], b[0]) + pad)
        h = max(0, min(a[3], b[3]) - max(a[1], b[1]) + pad)
        area = sum((c[2] - c[0] + pad) * (c[3] - c[1] + pad) for c in (a, b))
        return w * h / (area - w * h)

    ranked = sorted(detections, key=lambda d: -d[3])
    kept, seen = [], {}
    for d in ranked:
        seen[d[0]] = seen.get(d[0], 0) + 1
        if seen[d[0]] <= limit:
            kept.append(d)
    total = 0.0
    for k in range(classes):
        objects = [t for t in truth if t[1] == k]
        taken, points, hits = set(), [], 0
        for count, d in enumerate((d for d in kept if d[1] == k), 1):
            rivals = [(iou(d[2], t[2]), -i) for i, t in enumerate(objects) if t[0] == d[0]]
            rivals = sorted((r for r in rivals if r[0] >= 0.5), reverse=True)
            for _, i in rivals if fall_back else rivals[:1]:
                if i not in taken:
                    taken.add(i)
                    hits += 1
                    break
            points.append((hits / len(objects) if objects else 0, hits / count))
        previous = 0.0
        for i, (recall, _) in enumerate(points):
            total += (recall - previous) * max(p for _, p in points[i:])
            previous = recall
    return total / classes


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("plus_one", [False, True])
@pytest.mark.parametrize("fall_back", [False, True])
def test_agrees_with_the_slow_reference(monkeypatch, seed, plus_one, fall_back):
    monkeypatch.setattr(matching, "_BLOCK", 7 if seed % 2 else 8192)
    rng = np.random.default_rng(seed)

    def boxes(n):
        # Whole pixels in a small area: many overlaps and equal IoUs.
        corner = rng.integers(0, 30, (n, 2))
        return np.concatenate([corner, corner + rng.integers(5, 12, (n, 2))], 1).tolist()

    truth = [(rng.integers(4), rng.integers(3), b) for b in boxes(60)]
    near = [(t[0], t[1], np.add(t[2], rng.integers(-2, 3, 4)).tolist()) for t in truth * 2]
    loose = [(rng.integers(5), rng.integers(4), b) for b in boxes(60)]
    # Tenths only, so that scores tie within and across images.
    detections = [(*d, rng.integers(1, 10) / 10) for d in near + loose]
    rng.shuffle(order := np.arange(len(detections)))
    detections = [detections[i] for i in order]
    for limit in (100, 20):
        fast = score(
            truth, detections, 4, plus_one=plus_one, fall_back=fall_back, max_per_image=limit
        )
        slow = slow_reference(truth, detections, 4, plus_one, fall_back, limit)
        assert 0 < slow < 1
        assert fast.mean == pytest.approx(slow, abs=1e-12)


def test_order_of_images_and_truths_need_not_be_sorted():
    truth = [(2, 0, BOX), (0, 0, NEXT), (1, 0, BOX)]
    detections = [(1, 0, BOX, 0.9), (2, 0, BOX, 0.8), (0, 0, NEXT, 0.7)]
    assert score(truth, detections).mean == 1.0


def test_fifty_thousand_detections_in_two_seconds():
    rng = np.random.default_rng(0)
    n = 50_000
    corner = rng.uniform(0, 2000, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 100, (n, 2))], 1)
    images, categories = rng.integers(0, 1000, n), rng.integers(0, 30, n)
    found = images, categories, boxes
    data = evaluation_set([column[:5000] for column in found], found, rng.random(n), 30)
    begin = time.process_time()
    found = challenge_map(data)
    assert time.process_time() - begin < 2
    assert 0 < found.mean < 1
