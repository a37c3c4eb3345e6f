"""Objects kept and area read."""

import numpy as np
import pytest
import torch

from smallobj import get_cfg
from smallobj.evaluation.evaluators.focus import THRESHOLDS, FocusEvaluator
from smallobj.evaluation.evaluators.registry import build_evaluator

from detectron2.data import DatasetCatalog, MetadataCatalog  # isort: skip
from detectron2.structures import BoxMode  # isort: skip

SIZE = (320, 640)
AREA = SIZE[0] * SIZE[1]
# One object a size bin in the first photograph, two in the second, none in the third.
BOXES = {
    1: [[20, 20, 32, 30], [200, 100, 230, 120], [400, 60, 450, 110], [500, 200, 590, 230]],
    2: [[100, 100, 119, 119], [300, 300, 320, 320]],
    3: [],
}


@pytest.fixture
def dataset(request):
    name = request.node.name
    records = [
        {
            "file_name": f"{number}.jpg",
            "image_id": number,
            "height": SIZE[0],
            "width": SIZE[1],
            "annotations": [
                {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": 0}
                for box in boxes
            ],
        }
        for number, boxes in BOXES.items()
    ]
    DatasetCatalog.register(name, lambda: records)
    MetadataCatalog.get(name).set(thing_classes=["thing"])
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def evaluator(dataset, **changes):
    cfg = get_cfg()
    cfg.TEST.METRICS = ["focus"]
    settings = {
        "HEAT_THRESH": 0.5,
        "WINDOWS": (160,),
        "MARGINS": (48,),
        "MAX_AREA": 0.6,
        "KEEP": 0.8,
    }
    for key, value in {**settings, **changes}.items():
        cfg.TEST.FOCUS[key] = value
    (focus,) = build_evaluator(cfg, dataset)._evaluators
    assert isinstance(focus, FocusEvaluator)
    focus.reset()
    return focus


def heat_on(boxes, values):
    heat = np.full((20, 40), 0.001, np.float32)
    for (x0, y0, x1, y1), value in zip(boxes, values, strict=True):
        heat[(y0 + y1) // 32, (x0 + x1) // 32] = value
    return maps(torch.from_numpy(heat))


def maps(heat):
    return {"focus": heat, "side": torch.full_like(heat, 30), "stride": 16}


def test_what_is_kept_and_what_is_read(dataset):
    focus = evaluator(dataset)
    focus.process([{"image_id": 1}], [heat_on(BOXES[1], [0.9, 0.9, 0.3, 0.9])])
    focus.process([{"image_id": 2}], [heat_on(BOXES[2], [0.9, 0.9])])
    focus.process([{"image_id": 3}], [heat_on([], [])])
    found = focus.evaluate()["focus"]
    assert found["kept"] == pytest.approx(100 * 5 / 6)
    assert found["regions"] == pytest.approx(5 / 3)
    assert found["area"] == pytest.approx(100 * 5 * 160 * 160 / AREA / 3)
    bins = {name: found[f"kept-{name}px"] for name in ("10-20", "20-40", "40-70", "70+")}
    assert bins == {"10-20": 100.0, "20-40": 100.0, "40-70": 0.0, "70+": 100.0}


def test_the_highest_threshold_that_keeps_enough(dataset):
    focus = evaluator(dataset, HEAT_THRESH=0.9)
    focus.process([{"image_id": 1}], [heat_on(BOXES[1], [0.8, 0.7, 0.03, 0.6])])
    focus.process([{"image_id": 2}], [heat_on(BOXES[2], [0.5, 0.4])])
    focus.process([{"image_id": 3}], [heat_on([[200, 200, 210, 210]], [0.2])])
    found = focus.evaluate()["focus"]
    assert found["kept"] == 0
    # Five of six, 83%, are kept at 0.4, of the others at most four.
    expected = THRESHOLDS[THRESHOLDS <= 0.4].max()
    assert found["threshold-for-80%"] == pytest.approx(expected)
    assert found["area-for-80%"] == pytest.approx(100 * 5 * 160 * 160 / AREA / 3)
    assert found["saved"] == pytest.approx(100 - found["area-for-80%"])


def test_where_no_threshold_keeps_enough_nothing_is_saved(dataset):
    focus = evaluator(dataset, KEEP=1.0, MAX_AREA=10.0)
    focus.process([{"image_id": 1}], [maps(torch.zeros(20, 40))])
    found = focus.evaluate()["focus"]
    assert found["saved"] == 0
    assert "threshold-for-100%" not in found


def test_of_a_photograph_full_of_heat_no_more_is_read_than_allowed(dataset):
    focus = evaluator(dataset, MAX_AREA=0.3)
    focus.process([{"image_id": 1}], [maps(torch.ones(20, 40))])
    found = focus.evaluate()["focus"]
    assert found["regions"] == 2
    assert found["area"] == pytest.approx(25.0)


def test_regions_that_a_detector_has_read(dataset):
    focus = evaluator(dataset, WINDOWS=(), MARGINS=(), HEAT_THRESH=0.0)
    regions = np.array([[0, 0, 64, 64], [190, 90, 254, 154]])
    focus.process([{"image_id": 1}], [{"instances": None, "tiles": regions}])
    focus.process([{"image_id": 3}], [{"instances": None, "tiles": regions[:0]}])
    found = focus.evaluate()["focus"]
    assert found["kept"] == 50
    assert found["area"] == pytest.approx(100 * 2 * 64 * 64 / AREA / 2)
    assert found["regions"] == 1
    assert "saved" not in found, "without heat maps no other threshold can be tried"


def test_an_object_at_the_very_edge_of_a_region_is_not_kept(dataset):
    focus = evaluator(dataset)
    focus.process([{"image_id": 1}], [{"tiles": np.array([[197, 97, 261, 161]])}])
    assert focus.evaluate()["focus"]["kept"] == 0


def test_a_detector_that_reads_photographs_whole_is_refused(dataset):
    with pytest.raises(ValueError, match=r"TEST\.FOCUS\.ENABLED"):
        evaluator(dataset).process([{"image_id": 1}], [{"instances": None}])
