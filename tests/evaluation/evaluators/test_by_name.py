"""What is evaluated does not depend on the order in which a dataset lists its classes."""

import json
import logging

import smallobj  # isort: skip  # noqa: F401  (first: makes Detectron2 import)

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances

from smallobj import get_cfg
from smallobj.class_names import NamedClasses
from smallobj.data.datasets import register_dataset, resolve_num_classes
from smallobj.evaluation.evaluators.registry import build_evaluator

NAMES = ["bolt", "nut", "nail"]
# Of each class a box on each of two images; x of the second image's is what the model finds it at.
FOUND_AT = {"bolt": (10, 10), "nut": (10, 40), "nail": (300, 300)}


@pytest.fixture
def write(tmp_path, catalog):
    """Writes and registers a COCO file whose categories stand in the given order."""
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((200, 400, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((200, 400, 3), np.uint8))

    def make(name, names):
        ids = {label: 5 + 2 * k for k, label in enumerate(names)}
        images = [{"id": k, "file_name": f"{k}.png", "width": 400, "height": 200} for k in (0, 1)]
        boxes = [
            {"image_id": k, "category_id": ids[label], "bbox": [10, 20 + 40 * row, 30, 30]}
            for k in (0, 1)
            for row, label in enumerate([*NAMES, "screw"])
            if label in ids
        ]
        content = {
            "images": images,
            "annotations": [{"id": k, "iscrowd": 0, **box} for k, box in enumerate(boxes)],
            "categories": [{"id": number, "name": label} for label, number in ids.items()],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        register_dataset(f"{name}=coco:{tmp_path / name}.json:{tmp_path}")
        return name

    return make


def evaluate(dataset, order, tmp_path, names=NAMES, common_only=False, resolve=True):
    """What a model with its classes in some order scores, whose boxes are known by name."""
    cfg = get_cfg()
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (), (dataset,)
    cfg.TEST.METRICS = ["coco", "challenge", "analysis"]
    cfg.TEST.COMMON_CLASSES_ONLY = common_only
    cfg.MODEL.CLASS_NAMES = list(order)
    if resolve:
        resolve_num_classes(cfg, weights=NamedClasses(list(order), "w.pth"))
    DatasetCatalog.get(dataset)  # as the loader of images does
    evaluator = build_evaluator(cfg, dataset, str(tmp_path / "found"))
    evaluator.reset()
    for image in (0, 1):
        corners = [(FOUND_AT[name][image], 20 + 40 * k) for k, name in enumerate(names)]
        boxes = [[x, y, x + 30, y + 30] for x, y in corners]
        found = Instances((200, 400))
        found.pred_boxes = Boxes(torch.tensor(boxes))
        found.scores = torch.full((len(names),), 0.9)
        found.pred_classes = torch.tensor([order.index(name) for name in names])
        evaluator.process([{"image_id": image}], [{"instances": found}])
    groups = evaluator.evaluate().items()
    return {f"{group}/{key}": value for group, figures in groups for key, value in figures.items()}


@pytest.mark.parametrize("resolve", [True, False])
def test_each_class_scores_the_same_in_every_order(write, tmp_path, resolve):
    same = evaluate(write("same", NAMES), NAMES, tmp_path)
    assert same["bbox/AP50-bolt"] == pytest.approx(100)
    assert same["bbox/AP50-nut"] == pytest.approx(100 * 51 / 101)  # one of two is found
    assert same["bbox/AP50-nail"] == 0
    reversed_ = write("reversed", NAMES[::-1])
    other = evaluate(reversed_, NAMES, tmp_path, resolve=resolve)
    assert other == pytest.approx(same, nan_ok=True)
    # COCO results carry the ids of the dataset's own file.
    results = json.loads((tmp_path / "found" / "coco_instances_results.json").read_text())
    rows = {round(one["bbox"][1]): one["category_id"] for one in results}
    assert rows == {20: 9, 60: 7, 100: 5}


def test_other_classes_are_refused_with_both_lists(write, tmp_path):
    dataset = write("more", ["nut", "screw", "bolt"])
    only = r"only in w\.pth: 'nail'; only in dataset more: 'screw'\. .*COMMON_CLASSES_ONLY True"
    with pytest.raises(ValueError, match=only):
        evaluate(dataset, NAMES, tmp_path)
    only = only.replace(r"w\.pth", "the model")
    with pytest.raises(ValueError, match=only):
        evaluate(dataset, NAMES, tmp_path, resolve=False)


def test_common_classes_are_evaluated_alone(write, tmp_path, caplog):
    common = evaluate(write("two", ["bolt", "nut"]), NAMES[:2], tmp_path, names=NAMES[:2])
    dataset = write("more", ["nut", "screw", "bolt"])
    with caplog.at_level(logging.WARNING):
        found = evaluate(dataset, ["nail", "nut", "bolt"], tmp_path, common_only=True)
    # Neither the labels of screws nor the wrong nails count.
    assert found == pytest.approx(common, nan_ok=True)
    assert "left out 2 labels of classes that the model doesn't have: 'screw'" in caplog.text
    assert "left out 2 detections of classes that the dataset doesn't have: 'nail'" in caplog.text
