"""Size bins against pycocotools with the same area ranges, and by hand."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj.evaluation.metrics.curves import class_average_precision
from smallobj.evaluation.metrics.size_bins import (
    AI_TOD_BINS,
    COCO_BINS,
    DEFAULT_BINS,
    SizeBin,
    labels_outside,
    parse_size_bins,
    size_bin_scores,
    size_rankings,
)
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def random_set(seed, images=10, classes=3):
    """Objects of 4 to 110 px with copies that are a little off; scores tie."""
    rng = np.random.default_rng(seed)
    count = 60
    number = np.sort(rng.integers(1, images, count))
    corner = rng.integers(0, 300, (count, 2))
    sides = np.exp(rng.uniform(np.log(4), np.log(110), (count, 2))).round()
    boxes = np.concatenate([corner, corner + sides], axis=1)
    labels = LabelTable(
        number,
        rng.integers(0, classes, count),
        boxes,
        (sides.prod(axis=1) * rng.choice([1, 0.8], count)).round(),
        rng.random(count) < 0.1,
    )
    copies = np.sort(np.repeat(np.arange(count), 2))
    moved = boxes[copies] + rng.normal(0, 0.08, (len(copies), 4)) * np.tile(sides[copies], 2)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    detections = DetectionTable(
        number[copies], labels.categories[copies], moved.round(), rng.random(len(copies)).round(1)
    )
    ids = list(range(images))
    names = [f"class {k}" for k in range(classes)]
    sizes = np.full((images, 2), 500)
    return EvaluationSet(ids, [str(i) for i in ids], sizes, names, labels, detections)


def coco_scores(data, bins):
    """precision (10, 101, K, S) and recall (10, K, S) of pycocotools."""

    def rows(table, **more):
        sides = table.boxes[:, 2:] - table.boxes[:, :2]
        return [
            {
                "id": i + 1,
                "image_id": int(table.images[i]),
                "category_id": int(table.categories[i]),
                "bbox": [*table.boxes[i, :2].tolist(), *sides[i].tolist()],
                **{key: column[i].item() for key, column in more.items()},
            }
            for i in range(len(table))
        ]

    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": 500, "width": 500} for i in data.image_ids],
        "categories": [{"id": k, "name": n} for k, n in enumerate(data.class_names)],
        "annotations": rows(
            data.labels, area=data.labels.areas, iscrowd=data.labels.crowd.astype(int)
        ),
    }
    truth.createIndex()
    found = truth.loadRes(rows(data.detections, score=data.detections.scores))
    run = COCOeval(truth, found, "bbox")
    run.params.areaRng = [[one.low**2, one.high**2] for one in bins]
    run.params.areaRngLbl = [one.name for one in bins]
    run.params.maxDets = [100]
    run.evaluate()
    run.accumulate()
    return run.eval["precision"][..., 0], run.eval["recall"][..., 0]


@pytest.mark.parametrize("bins", [DEFAULT_BINS, COCO_BINS, AI_TOD_BINS])
def test_scores_are_those_of_pycocotools(bins):
    for seed in range(4):
        data = random_set(seed)
        precision, recall = coco_scores(data, bins)
        for s, scores in enumerate(size_bin_scores(data, bins)):
            defined = recall[0, :, s] > -1
            np.testing.assert_array_equal(~np.isnan(scores.ap), defined)
            np.testing.assert_array_equal(scores.labels > 0, defined)
            ap = precision[..., s].mean(axis=1)[:, defined]
            np.testing.assert_allclose(scores.ap[defined], ap.mean(axis=0), atol=1e-12)
            np.testing.assert_allclose(scores.ap50[defined], ap[0], atol=1e-12)
            recalls = recall[:, defined, s]
            np.testing.assert_allclose(scores.recall50[defined], recalls[0], atol=1e-12)
            np.testing.assert_allclose(scores.average_recall[defined], recalls.mean(axis=0))
            if defined.any():
                assert scores.summary()["ap"] == pytest.approx(ap.mean(), abs=1e-12)


def test_by_hand():
    """15 px found, 30 px missed, a wrong box of 30 px and one of 200 px."""
    boxes = np.array([[0.0, 0, 15, 15], [100, 100, 130, 130]])
    labels = LabelTable(
        np.zeros(2, int), np.zeros(2, int), boxes, np.array([225.0, 900]), np.zeros(2, bool)
    )
    shown = np.array([[0.0, 0, 15, 15], [200, 200, 230, 230], [300, 300, 500, 500]])
    detections = DetectionTable(
        np.zeros(3, int), np.zeros(3, int), shown, np.array([0.5, 0.9, 0.8])
    )
    data = EvaluationSet([7], ["a"], np.full((1, 2), 999), ["a"], labels, detections)
    small, middle, large, last = (s.summary() for s in size_bin_scores(data))
    # The wrong ones are outside 10-20 px, so nothing stands before the one that is right.
    whole = {"labels": 1, "ap": 1, "ap50": 1, "recall50": 1, "average_recall": 1}
    assert small == pytest.approx(whole)
    assert middle["labels"] == 1
    assert middle["ap50"] == middle["recall50"] == 0
    assert large["labels"] == last["labels"] == 0
    assert np.isnan(large["ap"])
    assert np.isnan(last["recall50"])
    # In one bin of 10 to 50 px the wrong box of 30 px comes first: precision 1/2 to recall 1/2.
    (both,) = size_bin_scores(data, [SizeBin("both", 10, 50)])
    assert both.ap50[0] == pytest.approx(51 / 101 / 2)
    assert both.labels.tolist() == [2]


def test_labels_outside():
    data = random_set(0)
    areas = data.labels.areas[~data.labels.crowd]
    expected = sum(not 10 <= area**0.5 <= 100 for area in areas)
    assert 0 < expected == labels_outside(data, DEFAULT_BINS)
    assert labels_outside(data, COCO_BINS) == 0
    assert labels_outside(data, []) == len(areas)


def test_rankings_take_weights():
    data = random_set(1)
    rankings = size_rankings(data, DEFAULT_BINS, iou_thresholds=(0.5,))
    scores = size_bin_scores(data, DEFAULT_BINS)
    for (row,), one in zip(rankings, scores, strict=True):
        np.testing.assert_array_equal(class_average_precision(row, np.ones((1, 10)))[0], one.ap50)


def test_parsing():
    assert parse_size_bins("10,20,40,70,100") == DEFAULT_BINS
    assert [one.name for one in DEFAULT_BINS] == ["10-20", "20-40", "40-70", "70-100"]
    assert DEFAULT_BINS[0].area_range == (100, 400)
    assert parse_size_bins(" COCO ") == COCO_BINS
    assert parse_size_bins("ai-tod") == AI_TOD_BINS
    assert parse_size_bins("0, 12.5, inf") == (
        SizeBin("0-12.5", 0, 12.5),
        SizeBin("12.5-inf", 12.5, np.inf),
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "got ''"),
        ("10;20", "got '10;20'"),
        ("10,,20", "got '10,,20'"),
        ("10", "at least two of them, got '10'"),
        ("10,20,20", "each larger than the one before, got '10,20,20'"),
        ("20,10", "each larger than the one before, got '20,10'"),
        ("-1,10", "from 0 on"),
        ("nan,10", "from 0 on"),
        ("10,nan", "each larger"),
        ("pascal", "size bins must be default, coco, ai-tod or bounds in px"),
    ],
)
def test_wrong_text(text, rule):
    with pytest.raises(ValueError, match=rule):
        parse_size_bins(text)
