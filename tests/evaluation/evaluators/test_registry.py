"""Evaluators by name, and the figure that chooses the best checkpoint."""

import itertools

import pytest
from detectron2.evaluation import DatasetEvaluator

from smallobj import get_cfg
from smallobj.evaluation.evaluators.registry import (
    EVALUATOR_REGISTRY,
    build_evaluator,
    headline_of,
)

NAMES = ["nut", "bolt"]


@pytest.fixture
def cfg():
    return get_cfg()


@pytest.fixture
def images_counted():
    """A metric that counts the images, under that name."""

    @EVALUATOR_REGISTRY.register(name="images_counted")
    class Counting(DatasetEvaluator):
        headline = "images/count"

        def __init__(self, cfg, dataset_name, output_dir):
            self.told = (cfg.OUTPUT_DIR, dataset_name, output_dir)

        def reset(self):
            self.count = 0

        def process(self, inputs, outputs):
            self.count += len(inputs)

        def evaluate(self):
            return {"images": {"count": self.count}}

    yield
    del EVALUATOR_REGISTRY._obj_map["images_counted"]


def test_metrics_are_made_in_the_order_of_the_config(cfg, register):
    name = register([])
    for names in itertools.permutations(["coco", "analysis", "focus"]):
        cfg.TEST.METRICS = names
        made = build_evaluator(cfg, name)._evaluators
        assert [type(one) for one in made] == [EVALUATOR_REGISTRY.get(one) for one in names]


def test_one_of_ones_own(cfg, register, images_counted):
    cfg.TEST.METRICS = ["images_counted"]
    evaluator = build_evaluator(cfg, name := register([]), "files")
    assert evaluator._evaluators[0].told == (cfg.OUTPUT_DIR, name, "files")
    evaluator.reset()
    evaluator.process([{}, {}], [{}, {}])
    assert evaluator.evaluate() == {"images": {"count": 2}}
    assert headline_of(["images_counted"]) == headline_of(["analysis", "images_counted"])
    assert headline_of(["images_counted"]) == "images/count"
    assert headline_of(["images_counted", "focus"]) == "focus/saved"


def test_only_the_analysis_is_watched(cfg, register):
    coco, _, analysis = build_evaluator(cfg, register([]), watch=print)._evaluators
    assert analysis.watch is print
    assert not hasattr(coco, "watch")


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["coco", "voc"], r"TEST.METRICS must be .*'challenge', 'coco', 'coco_masks'.* got 'voc'"),
        (["coco"] * 2, "once"),
        (["FastCOCOEvaluator"], "registered as 'coco'; got 'FastCOCOEvaluator'"),
    ],
)
def test_bad_names_are_told(cfg, register, metrics, message):
    cfg.TEST.METRICS = metrics
    with pytest.raises(ValueError, match=message):
        build_evaluator(cfg, register([]))


def test_which_figure_chooses_the_best():
    by_precedence = {
        "coco": "bbox/AP50",
        "challenge": "challenge/mAP50",
        "coco_masks": "segm/AP50",
        "focus": "focus/saved",
    }
    names = list(by_precedence)
    for first in range(4):
        for order in itertools.permutations(names[first:]):
            assert headline_of(["analysis", *order]) == by_precedence[names[first]]
    assert headline_of(["analysis"]) is None
