"""COCO's curves against pycocotools', to 1e-9."""

import contextlib
import copy
import dataclasses
import gc
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj.evaluation.evaluators.coco import coco_metrics
from smallobj.evaluation.metrics.coco_curves import COCO_AREAS, coco_curves
from smallobj.evaluation.metrics.matching import EVERY_AREA
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable

AREAS = {
    "coco": COCO_AREAS,
    "by side": tuple((float(a * a), float(b * b)) for a, b in ((10, 20), (20, 40), (40, 70))),
    "one": (EVERY_AREA,),
    "none inside": ((1e7, 1e8),),
}


def random_set(seed, whole=True, images=9, classes=4, ids=None):
    """Dense boxes with tied scores and IoUs, crowds and own areas.

    Image 0 is empty, image 1 has no detections, image 2 no labels; the last class has no labels.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(3, 25, images)
    counts[0] = 0
    number = np.repeat(np.arange(images), counts)
    corner = rng.integers(0, 80, (len(number), 2))
    sides = rng.choice([6, 12, 30, 60, 110], (len(number), 1)) + rng.integers(0, 4, corner.shape)
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float64)
    own = np.where(rng.random(len(number)) < 0.3, 0.6, 1.0)
    labels = LabelTable(
        number,
        rng.integers(0, classes - 1, len(number)),
        boxes,
        sides.prod(axis=1) * own,
        rng.random(len(number)) < 0.2,
    )
    copies = rng.integers(0, len(number), 4 * len(number))
    shift = rng.integers(-4, 5, (len(copies), 4)) if whole else rng.normal(0, 3, (len(copies), 4))
    moved = boxes[copies] + shift
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    found = DetectionTable(
        number[copies],
        np.where(rng.random(len(copies)) < 0.7, labels.categories[copies], copies % classes),
        moved,
        (rng.integers(-2, 9, len(copies)) / 8) if whole else rng.normal(0, 1, len(copies)),
    )
    names = [f"class {k}" for k in range(classes)]
    ids = list(range(images)) if ids is None else ids
    files = [f"{one}.jpg" for one in ids]
    return EvaluationSet(
        ids,
        files,
        np.full((images, 2), 200),
        names,
        labels[labels.images != 2],
        found[found.images != 1],
    )


def official(data, limit, areas, thresholds=None):
    """pycocotools' precision (T, R, K, A) and recall (T, K, A) of the same boxes."""

    def api(table, columns):
        boxes = np.concatenate([table.boxes[:, :2], table.boxes[:, 2:] - table.boxes[:, :2]], 1)
        rows = [
            {
                "id": i + 1,
                "image_id": data.image_ids[image],
                "category_id": int(table.categories[i]),
                "bbox": boxes[i].tolist(),
                **{name: column[i].item() for name, column in columns.items()},
            }
            for i, image in enumerate(table.images)
        ]
        one = COCO()
        one.dataset = {
            "images": [{"id": i} for i in data.image_ids],
            "categories": [{"id": k} for k in range(len(data.class_names))],
            "annotations": rows,
        }
        one.createIndex()
        return one

    labels, found = data.labels, data.detections
    crowd = labels.crowd.astype(int)
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(
            api(labels, {"area": labels.areas, "iscrowd": crowd}),
            api(found, {"area": found.areas, "score": found.scores, "iscrowd": found.images * 0}),
            "bbox",
        )
        run.params.maxDets, run.params.areaRng = [limit], [list(one) for one in areas]
        run.params.areaRngLbl = [str(i) for i in range(len(areas))]
        if thresholds is not None:
            run.params.iouThrs = np.array(thresholds)
        run.evaluate()
        run.accumulate()
    return run.eval["precision"][..., 0], run.eval["recall"][..., 0]


def agree(data, limit=100, areas=COCO_AREAS, **options):
    precision, recall = official(data, limit, areas, options.get("iou_thresholds"))
    found = coco_curves(data, limit, area_ranges=areas, **options)
    np.testing.assert_allclose(found.precision, precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.recall, recall, rtol=0, atol=1e-9)
    return precision


@pytest.mark.parametrize("areas", AREAS)
@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize("whole", [True, False])
def test_same_as_pycocotools(areas, limit, whole):
    defined = 0
    for seed in range(6):
        precision = agree(random_set(seed, whole), limit, AREAS[areas])
        defined += ((precision > 0.05) & (precision < 0.95)).sum()
        assert (precision[:, :, -1] == -1).all()  # the class without labels
    assert (defined > 100) == (areas != "none inside")


def test_same_as_pycocotools_on_many_small_sets():
    for seed in range(150):
        agree(random_set(seed, seed % 2 == 0, images=3 + seed % 3, classes=2), 1 + seed % 7)


@pytest.mark.parametrize("thresholds", [[0.5], [0.1, 0.3, 1.0], [0.75, 0.5]])
def test_any_thresholds(thresholds):
    for seed in range(5):
        agree(random_set(seed), iou_thresholds=thresholds)


def test_images_come_in_the_order_of_their_ids():
    """Where scores tie across images, pycocotools goes by id, however the file is ordered."""
    ids, differ = [70, 30, 60, 10, 50, 20, 90, 40, 80], 0
    for seed in range(5):
        data = random_set(seed, ids=ids)
        agree(data)
        agree(dataclasses.replace(data, image_ids=[f"{one}.jpg" for one in ids]))
        in_order = dataclasses.replace(data, image_ids=sorted(ids))
        differ += (coco_curves(data).precision != coco_curves(in_order).precision).any()
    assert differ == 5
    mixed = dataclasses.replace(data, image_ids=[*ids[:-1], "80"])
    as_given = dataclasses.replace(data, image_ids=list(range(len(ids))))
    np.testing.assert_array_equal(coco_curves(mixed).precision, coco_curves(as_given).precision)


def test_nothing_found_and_nothing_to_find():
    data = random_set(0)
    none = data.detections[data.detections.images < 0]
    empty = data.labels[data.labels.images < 0]
    found = agree(data.with_detections(none))
    assert set(np.unique(found)) == {-1, 0}
    assert (agree(dataclasses.replace(data, labels=empty)) == -1).all()
    nothing = dataclasses.replace(data, labels=empty, detections=none)
    assert (coco_curves(nothing).precision == -1).all()
    bare = EvaluationSet([], [], np.zeros((0, 2), np.int64), ["coin"], empty, none)
    assert (coco_curves(bare).precision == -1).all()
    assert np.isnan(coco_metrics(bare)["AP"])


def test_a_million_detections_allowed_take_no_memory_of_their_own():
    data = random_set(3)
    whole = coco_curves(data, 1000)
    np.testing.assert_array_equal(coco_curves(data, 10**9).precision, whole.precision)


def test_the_data_stays_as_it_was_and_so_does_the_collector():
    data = random_set(1)
    before = copy.deepcopy(vars(data.detections))
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            coco_curves(data)
            assert gc.isenabled() == enabled
        finally:
            gc.enable()
    for name, column in vars(data.detections).items():
        np.testing.assert_array_equal(column, before[name])


def test_a_label_found_once_by_hand():
    """Two labels, found with 0.9, a duplicate with 0.8, the other one with 0.7: AP by hand."""
    labels = LabelTable(
        np.array([0, 0]),
        np.array([0, 0]),
        np.array([[0.0, 0, 10, 10], [50, 0, 60, 10]]),
        np.array([100.0, 100.0]),
        np.zeros(2, bool),
    )
    found = DetectionTable(
        np.zeros(3, np.int64),
        np.zeros(3, np.int64),
        labels.boxes[[0, 0, 1]],
        np.array([0.9, 0.8, 0.7]),
    )
    data = EvaluationSet([1], ["1.jpg"], np.array([[99, 99]]), ["coin"], labels, found)
    # Precision 1 for the 51 recalls up to 0.5, then 2 of 3 for 50.
    expected = 100 * (51 * 1 + 50 * 2 / 3) / 101
    metrics = coco_metrics(data)
    assert metrics["AP"] == metrics["APs"] == pytest.approx(expected, abs=1e-9)
    assert metrics["AR"] == 100
    assert np.isnan(metrics["APl"])


@pytest.mark.parametrize(
    ("limit", "options", "message"),
    [
        (0, {}, "at least 1; got 0"),
        (9, {"iou_thresholds": [0.5, 0]}, r"in \(0, 1\], got \[0.5, 0\]"),
        (9, {"iou_thresholds": []}, "IoU thresholds"),
        (9, {"area_ranges": [(9, 4)]}, r"\(low, high\) in px², got \[\(9, 4\)\]"),
    ],
)
def test_arguments_out_of_range(limit, options, message):
    with pytest.raises(ValueError, match=message):
        coco_curves(random_set(0), limit, **options)
