"""The matching against pycocotools', detection by detection."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj.evaluation.metrics.matching import EVERY_AREA, match_detections
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


def random_set(seed, images=6, classes=2, ties=True, crowds=True):
    """Whole-numbered boxes, so that IoUs tie and meet thresholds exactly; one image stays empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, images)
    counts[0] = 0
    number = np.repeat(np.arange(images), counts)
    corner = rng.integers(0, 60, (len(number), 2))
    boxes = np.concatenate([corner, corner + rng.integers(4, 40, (len(number), 2))], axis=1) * 1.0
    sides = boxes[:, 2:] - boxes[:, :2]
    labels = LabelTable(
        number,
        rng.integers(0, classes, len(number)),
        boxes,
        sides.prod(axis=1),
        rng.random(len(number)) < (0.2 if crowds else 0),
    )
    copies = rng.integers(0, max(len(number), 1), 3 * len(number))
    moved = boxes[copies] + rng.integers(-3, 4, (len(copies), 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    scores = rng.random(len(copies))
    detections = DetectionTable(
        number[copies],
        np.where(rng.random(len(copies)) < 0.8, labels.categories[copies], 0),
        moved,
        scores.round(1) if ties else scores,
    )
    sizes = np.full((images, 2), 100)
    names = [f"class {k}" for k in range(classes)]
    ids = list(range(images))
    return EvaluationSet(ids, [f"{i}.jpg" for i in ids], sizes, names, labels, detections)


def coco_matches(data, threshold, area_range, most):
    """{detection: label or -1}, ignored detections, and ignored labels, as pycocotools has them."""
    boxes = data.labels.boxes
    annotations = [
        {
            "id": i + 1,
            "image_id": int(data.labels.images[i]),
            "category_id": int(data.labels.categories[i]),
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "area": float(data.labels.areas[i]),
            "iscrowd": int(data.labels.crowd[i]),
        }
        for i, box in enumerate(boxes)
    ]
    found = [
        {
            "image_id": int(data.detections.images[i]),
            "category_id": int(data.detections.categories[i]),
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "score": float(data.detections.scores[i]),
        }
        for i, box in enumerate(data.detections.boxes)
    ]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": 100, "width": 100} for i in data.image_ids],
        "categories": [{"id": k, "name": n} for k, n in enumerate(data.class_names)],
        "annotations": annotations,
    }
    truth.createIndex()
    run = COCOeval(truth, truth.loadRes(found), "bbox")
    run.params.iouThrs = np.array([threshold])
    run.params.areaRng, run.params.areaRngLbl = [list(area_range)], ["all"]
    run.params.maxDets = [most]
    run.evaluate()
    label, ignored, ignored_label = {}, {}, {}
    for image in run.evalImgs:
        if image is None:
            continue
        for i, match, skip in zip(
            image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True
        ):
            label[i - 1], ignored[i - 1] = int(match) - 1, bool(skip)
        for i, skip in zip(image["gtIds"], image["gtIgnore"], strict=True):
            ignored_label[i - 1] = bool(skip)
    return label, ignored, ignored_label


@pytest.mark.parametrize("area_range", [EVERY_AREA, (0, 400), (400, 900)])
@pytest.mark.parametrize("threshold", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("most", [100, 3])
def test_matches_are_those_of_pycocotools(area_range, threshold, most):
    matched = 0
    for seed in range(40):
        data = random_set(seed)
        if not len(data.detections):
            continue
        expected, expected_ignored, ignored_label = coco_matches(data, threshold, area_range, most)
        found = match_detections(data, threshold, area_range=area_range, max_detections=most)
        assert set(found.order.tolist()) == set(expected)
        for i, label in expected.items():
            assert found.label[i] == label, (seed, i)
            assert found.ignored[i] == expected_ignored[i], (seed, i)
        for i, skip in ignored_label.items():
            assert found.ignored_label[i] == skip
        matched += sum(label >= 0 for label in expected.values())
    assert matched > (200 if threshold < 1 else 0)


def test_the_finder_of_a_label_is_the_detection_that_has_it():
    data = random_set(3)
    found = match_detections(data)
    for label, detection in enumerate(found.detection):
        finders = np.flatnonzero(found.label == label)
        if detection < 0:
            assert len(finders) == 0
        else:
            assert found.label[detection] == label
            assert data.detections.scores[detection] == data.detections.scores[finders].max()


def test_across_classes():
    data = random_set(1, classes=2, crowds=False)
    one = data.labels.__class__(
        data.labels.images, data.labels.categories * 0, *list(vars(data.labels).values())[2:]
    )
    alike = EvaluationSet(
        data.image_ids,
        data.file_names,
        data.sizes,
        ["any"],
        one,
        DetectionTable(
            data.detections.images,
            data.detections.categories * 0,
            data.detections.boxes,
            data.detections.scores,
        ),
    )
    found, expected = match_detections(data, any_class=True), match_detections(alike)
    np.testing.assert_array_equal(found.label, expected.label)
    assert (found.label != match_detections(data).label).any()


def test_nothing_at_all():
    data = random_set(0, images=1)
    found = match_detections(data)
    assert len(found.order) == len(found.label) == len(found.detection) == 0
